// The words of the real C target that are state: the global heap, which scenarios do not use, and the slots of threads.

#include "KAllocAtomics.h"

static uint64_t closed_regions[KA_CLOSED_REGIONS * KA_REGION_BYTES / sizeof(uint64_t)] __attribute__((aligned(4096)));
ka_heap ka_global_heap = {(char *)closed_regions + sizeof closed_regions, NULL, 0, 0, NULL};

// Sections of the global heap are nothing that the model runs.
bool ka_heap_close_global(uint32_t cpus) { return true; }

static uint64_t owned[KA_THREAD_SLOTS / 64];

// As in the real target.
bool ka_thread_slot_claim(int32_t number) {
  const uint64_t bit = 1ull << (number % 64);
  return (ka_u64_fetch_or_acquire(&owned[number / 64], bit) & bit) == 0;
}

void ka_thread_slot_release(int32_t number) {
  ka_u64_fetch_and_release(&owned[number / 64], ~(1ull << (number % 64)));
}

// System allocation is nothing that the model runs.
void *ka_system_allocate(size_t size, size_t alignment, bool zero) { return NULL; }
void *ka_system_reallocate(void *block, size_t size) { return NULL; }
void ka_system_free(void *block) {}
