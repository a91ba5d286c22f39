// Mistakes, one for each argument. The test looks for SIGABRT and the line.
#define _GNU_SOURCE
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include "check.h"

static char global[64];

int main(int count, char **words) {
  CHECK(count == 2);
  const char *what = words[1];
  const size_t size = OPAQUE(100ul);
  char *block = malloc(size), *other = malloc(size), *large = malloc(300000), on_stack[64];
  memset(large, 1, 300000);
  if (!strcmp(what, "double")) free(block), free(OPAQUE(block));
  if (!strcmp(what, "double-other")) {
    free(block), free(other), free(OPAQUE(block));
    // Where it is not seen at once, it is when the object leaves the cache.
    for (int i = 0; i < 100000; i++) free(malloc(5000 + i % 3000));
    char *many[3000];
    for (int i = 0; i < 3000; i++) many[i] = malloc(size);
    for (int i = 0; i < 3000; i++) free(many[i]);
  }
  if (!strcmp(what, "double-large")) free(large), free(OPAQUE(large));
  if (!strcmp(what, "double-old")) {
    char *many[3000];
    for (int i = 0; i < 3000; i++) many[i] = malloc(size);
    for (int i = 0; i < 3000; i++) free(many[i]);
    malloc_trim(0);
    free(OPAQUE(many[7]));
    // Where it is not seen at once, it is when the object leaves the cache.
    malloc_trim(0);
  }
  if (!strcmp(what, "interior")) free(OPAQUE(block + 16));
  if (!strcmp(what, "interior-odd")) free(OPAQUE(block + 1));
  if (!strcmp(what, "interior-large")) free(OPAQUE(large + 4096));
  if (!strcmp(what, "stack")) free(OPAQUE(on_stack + 0));
  if (!strcmp(what, "global")) free(OPAQUE(global + 0));
  if (!strcmp(what, "mapped")) free(OPAQUE(mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
  if (!strcmp(what, "low")) free(OPAQUE((char *)64));
  if (!strcmp(what, "high")) free(OPAQUE((char *)-64));
  if (!strcmp(what, "realloc")) block = realloc(OPAQUE(block + 16), 500);
  if (!strcmp(what, "realloc-freed")) free(large), block = realloc(OPAQUE(large), 500);
  if (!strcmp(what, "usable")) (void)OPAQUE(malloc_usable_size(OPAQUE(block + 16)));
  puts("nothing was noticed");
  return 3;
}
