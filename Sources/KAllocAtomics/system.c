#include "ka_system.h"

#if defined(__linux__) || defined(__APPLE__)

#include <stdlib.h>

void *ka_system_allocate(size_t size, size_t alignment, bool zero) {
  if (alignment <= 16) return zero ? calloc(1, size) : malloc(size);
  void *block = NULL;
  if (posix_memalign(&block, alignment, size) != 0) return NULL;
  if (zero) __builtin_memset(block, 0, size);
  return block;
}

void *ka_system_reallocate(void *block, size_t size) { return realloc(block, size); }

void ka_system_free(void *block) { free(block); }

#else

void *ka_system_allocate(size_t size, size_t alignment, bool zero) { return NULL; }
void *ka_system_reallocate(void *block, size_t size) { return NULL; }
void ka_system_free(void *block) {}

#endif
