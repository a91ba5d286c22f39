// A plug-in whose static initialiser allocates.
#include <cstdlib>
#include <string>
#include <vector>
static std::vector<std::string> words(100, std::string(200, 'x'));
extern "C" void *plugin_give(size_t size) { return words.size() == 100 ? malloc(size) : nullptr; }
extern "C" void plugin_take(void *block) { free(block); }
