// A plug-in whose static initialiser allocates, and whose threads have objects that end with them.
#include <cstdlib>
#include <string>
#include <vector>
static std::vector<std::string> words(100, std::string(200, 'x'));
static thread_local std::vector<std::string> own(50, std::string(100, 'y'));
extern "C" void *plugin_give(size_t size) {
  own.push_back(words[own.size() % 100]);
  return words.size() == 100 ? malloc(size) : nullptr;
}
extern "C" void plugin_take(void *block) { free(block); }
