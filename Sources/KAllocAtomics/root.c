#include "KAllocAtomics.h"

// Regions -2 and -1 of the global heap before it is made: zero, so every stack in them is closed. Where there is no Linux there are no
// sections that would read them.
#if defined(__linux__)
#define KA_CLOSED_BYTES (KA_CLOSED_REGIONS * KA_REGION_BYTES)
#else
#define KA_CLOSED_BYTES 64
#endif
static uint64_t ka_closed_regions[KA_CLOSED_BYTES / sizeof(uint64_t)]
    __attribute__((aligned(KA_OS_PAGE_BYTES)));

ka_heap ka_global_heap = {(char *)ka_closed_regions + sizeof ka_closed_regions, NULL, 0, 0, NULL};

bool ka_heap_close_global(uint32_t cpus) {
  const size_t bytes = sizeof ka_closed_regions + (size_t)cpus * KA_REGION_BYTES;
  const uint64_t initial = (uint64_t)(uintptr_t)((char *)ka_closed_regions + sizeof ka_closed_regions);
  uint64_t *word = ka_heap_regions_word(&ka_global_heap);
  // Relaxed: `ka_rseq_adopt` releases, and closed regions need no order. Where the maker of the global heap comes between,
  // its regions stand; where it comes later, it replaces these, which stay mapped because a section may be in them.
  if (ka_u64_load_relaxed(word) != initial) return true;
  char *memory = ka_os_map(bytes, KA_OS_PAGE_BYTES);
  if (!memory) return false;
  const uint64_t closed = (uint64_t)(uintptr_t)(memory + sizeof ka_closed_regions);
  if (ka_u64_cas_relaxed(word, initial, closed) != initial) ka_os_unmap(memory, bytes);
  return true;
}

#if defined(__linux__)

// The area that the sections use until `ka_rseq_adopt`, and in the other modes for ever: its CPU is number -1.
typedef struct {
  uint32_t cpu_id_start;
  int32_t cpu_id;
  uint64_t rseq_cs;
} ka_rseq_area_words;

static _Thread_local ka_rseq_area_words ka_unregistered_area __attribute__((tls_model("initial-exec"), used)) = {0, -1, 0};

// No linker that Swift uses by default can store the distance from the thread pointer in data, so it is written before
// any other initialiser of the image runs. A call from even earlier (another library's constructor) faults on x86-64,
// where the address is not canonical, rather than writing into the thread's control block; AArch64 checks for 0.
#if defined(__x86_64__)
#define KA_RSEQ_UNSET (1ull << 62)
#else
#define KA_RSEQ_UNSET 0
#endif
uint64_t ka_rseq_offset = KA_RSEQ_UNSET;

void ka_rseq_begin(void) {
  if (ka_u64_load_relaxed(&ka_rseq_offset) != KA_RSEQ_UNSET) return;
#if defined(__x86_64__)
  // Without reading the thread pointer: a static program is relocated before it has one.
  uint64_t offset;
  __asm__("movq ka_unregistered_area@gottpoff(%%rip), %0" : "=r"(offset));
  ka_u64_store_relaxed(&ka_rseq_offset, offset);
#else
  ka_u64_store_relaxed(
      &ka_rseq_offset, (uint64_t)((char *)&ka_unregistered_area - (char *)__builtin_thread_pointer()));
#endif
}

// The kernel makes a process that has several threads wait for all CPUs, some 20 ms for each registration; here it has one, unless
// it loads the image late.
__attribute__((constructor(101))) static void begin(void) {
  ka_rseq_begin();
  ka_barrier_register();
}

#else

void ka_rseq_begin(void) {}

#endif
