// What threads, children and handlers of the tests do: allocate and free blocks of many sizes, each with a mark at both ends.
#ifndef CHURN_H
#define CHURN_H
#include <stdint.h>
#include "check.h"

static void churn(unsigned seed, int rounds) {
  enum { slots = 64 };
  unsigned char *blocks[slots] = {0};
  size_t sizes[slots] = {0};
  for (int i = 0; i < rounds; i++) {
    seed = seed * 1103515245 + 12345;
    const int slot = (int)(seed >> 10) % slots;
    if (blocks[slot]) {
      CHECK(blocks[slot][0] == slot && blocks[slot][sizes[slot] - 1] == slot);
      free(blocks[slot]);
    }
    sizes[slot] = 1 + (seed >> 16) % (i % 50 ? 600 : 70000);
    blocks[slot] = malloc(sizes[slot]);
    CHECK(blocks[slot]);
    blocks[slot][0] = blocks[slot][sizes[slot] - 1] = (unsigned char)slot;
  }
  for (int slot = 0; slot < slots; slot++) free(blocks[slot]);
}

static void *churner(void *seed) {
  churn((unsigned)(uintptr_t)seed, 3000);
  return NULL;
}
#endif
