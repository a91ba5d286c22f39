// The words that the hot paths read: the heap's handle, the layout of a CPU's region, and this thread's rseq area.
//
// A CPU region is KA_REGION_BYTES of memory that one CPU (in `thread` mode, one thread) works in:
//
//     0      control words: gate, counters and busy (see `CPURegion` in Slab)
//     128    stacks: {top, begin, end, room} for each size class, page order and length of large blocks
//     2848…  the arrays that the stacks point into
//
// A stack holds pointers in [base, top). Pop is allowed while top > begin, push from the inlined path while
// top < end, and any other push while top < room. All four words zero: closed, so every operation takes the slow
// path. That is the state of memory never written, and the state in which every heap begins.

#ifndef KA_HEAP_H
#define KA_HEAP_H

#include "ka_types.h"

#define KA_REGION_SHIFT 19
#define KA_REGION_BYTES (1 << KA_REGION_SHIFT)
/// KA_REGION_SHIFT in the text of a section.
#define KA_REGION_SHIFT_TEXT "19"
#define KA_STACKS_OFFSET 128
#define KA_STACK_BYTES 32
#define KA_STACK_TOP 0
#define KA_STACK_BEGIN 8
#define KA_STACK_END 16
#define KA_STACK_ROOM 24

/// The owner byte of a frame, as a stack's number + 1: 1…84 are the stacks' own. 0 (nobody's) and KA_OWNER_RUN (the head of a
/// run that no stack takes) name stacks that are closed for ever, before the first and behind the last: a free needs no test for
/// them.
#define KA_OWNER_RUN 85
#define KA_OWNER_STACK 96

/// What a free without a size needs to know of an owner. The classes of a region stand right before its owner bytes.
typedef struct {
  /// The bits of an address that are the offset in its slab.
  uint64_t mask;
  /// ceil(2^64 / bytes): an offset is a multiple of `bytes` where their product modulo 2^64 is below this
  /// (Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019). 0: no object begins anywhere.
  uint64_t reciprocal;
  /// Bytes in an object.
  uint64_t bytes;
  uint64_t unused;
} ka_class;

#define KA_CLASSES_BYTES 2752

#define KA_STACK(number) (KA_STACKS_OFFSET + (number) * KA_STACK_BYTES)

// Four classes for each doubling: units 4 * unit + 1 ... 8 * unit of 16 bytes, counted from 0, the first of them `first`.
#define KA_DOUBLING(unit, first)                           \
  [4 * (unit) ... 5 * (unit) - 1] = KA_STACK(first),       \
  [5 * (unit) ... 6 * (unit) - 1] = KA_STACK((first) + 1), \
  [6 * (unit) ... 7 * (unit) - 1] = KA_STACK((first) + 2), \
  [7 * (unit) ... 8 * (unit) - 1] = KA_STACK((first) + 3)

/// The byte in a CPU region at which the stack of a size's class stands, by (size - 1) / 16.
static const uint16_t ka_stack_table[2048] = {
    KA_STACK(0), KA_STACK(1), KA_STACK(2), KA_STACK(3), KA_STACK(4), KA_STACK(5), KA_STACK(6), KA_STACK(7),
    KA_DOUBLING(2, 8), KA_DOUBLING(4, 12), KA_DOUBLING(8, 16), KA_DOUBLING(16, 20),
    KA_DOUBLING(32, 24), KA_DOUBLING(64, 28), KA_DOUBLING(128, 32), KA_DOUBLING(256, 36),
};

/// The stack of the class that holds `last` + 1 bytes, at most 32768.
static inline __attribute__((always_inline)) uint64_t ka_stack_holding(uint64_t last) {
  return ka_stack_table[last >> 4];
}

// Eight lengths for each doubling: 9 << doubling frames and so on, counted from 0.
#define KA_RUN(number) KA_STACK(44 + (number))
#define KA_RUN_DOUBLING(doubling)                                         \
  [8 << (doubling) ... (9 << (doubling)) - 1] = KA_RUN(8 * (doubling)),     \
  [9 << (doubling) ... (10 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 1), \
  [10 << (doubling) ... (11 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 2), \
  [11 << (doubling) ... (12 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 3), \
  [12 << (doubling) ... (13 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 4), \
  [13 << (doubling) ... (14 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 5), \
  [14 << (doubling) ... (15 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 6), \
  [15 << (doubling) ... (16 << (doubling)) - 1] = KA_RUN(8 * (doubling) + 7)

/// The byte in a CPU region at which the stack of a large block's length stands, by (size - 1) / 4096; 0: too short for one.
static const uint16_t ka_run_table[256] = {
    KA_RUN_DOUBLING(0), KA_RUN_DOUBLING(1), KA_RUN_DOUBLING(2), KA_RUN_DOUBLING(3), KA_RUN_DOUBLING(4),
};

/// The stack of the length that holds `last` + 1 bytes; 0: none has so few, or so many.
static inline __attribute__((always_inline)) uint64_t ka_run_holding(uint64_t last) {
  return last >> 12 < 256 ? ka_run_table[last >> 12] : 0;
}

/// Regions below the first CPU's: threads whose rseq area is not registered have the CPU numbers -1 and -2.
#define KA_CLOSED_REGIONS 2

/// What a heap's handle points to. Each field changes once, from its initial value to the final one; the global heap's
/// `regions` may be those of `ka_heap_close_global` in between.
typedef struct {
  /// The region of CPU 0; the region of CPU n is n * KA_REGION_BYTES further on, also for n = -1 and n = -2.
  void *_Nonnull regions;
  /// Slab's `HeapState`, or NULL until the first slow path has made it.
  void *_Nullable state;
  /// The window that a free without a size finds its class in: the address of frame 0, how many frames of 4 KiB there are
  /// (0: no window, or several), and the owner byte of frame 0. `window_frames` is written last, and `window_base` is at
  /// least the window's size, so that a stale base of 0 leads out of the window.
  uint64_t window_base;
  uint64_t window_frames;
  uint8_t *_Nullable owners;
} ka_heap;

_Static_assert(sizeof(ka_class) == KA_STACK_BYTES, "one shift serves both tables");
_Static_assert(KA_CLASSES_BYTES == (KA_OWNER_RUN + 1) * sizeof(ka_class), "an entry for each owner");
_Static_assert(KA_OWNER_STACK + KA_STACK_BYTES == KA_STACKS_OFFSET, "owner 1 is the first stack");

/// The heap that exists without being created. Its regions are closed until the first slow path opens them.
extern ka_heap ka_global_heap __attribute__((visibility("hidden")));

/// The address of `ka_global_heap`, as a constant.
static inline __attribute__((always_inline)) ka_heap *_Nonnull ka_heap_global(void) { return &ka_global_heap; }

static inline uint64_t *_Nonnull ka_heap_regions_word(ka_heap *_Nonnull heap) { return (uint64_t *)(void *)&heap->regions; }
static inline uint64_t *_Nonnull ka_heap_state_word(ka_heap *_Nonnull heap) { return (uint64_t *)(void *)&heap->state; }
static inline uint64_t *_Nonnull ka_heap_base_word(ka_heap *_Nonnull heap) { return &heap->window_base; }
static inline uint64_t *_Nonnull ka_heap_frames_word(ka_heap *_Nonnull heap) { return &heap->window_frames; }
static inline uint64_t *_Nonnull ka_heap_owners_word(ka_heap *_Nonnull heap) { return (uint64_t *)(void *)&heap->owners; }

/// Gives the global heap closed regions for CPUs 0 ..< `cpus` where it has none of its own yet: before another heap lets the
/// sections find a CPU. False where the address space is refused.
bool ka_heap_close_global(uint32_t cpus);

#if defined(__linux__)
/// The distance from the thread pointer to the rseq area in use: glibc's, or one of our own that says "CPU -1".
extern uint64_t ka_rseq_offset __attribute__((visibility("hidden")));
#endif

/// Whether the kernel and the C library run restartable sequences for every thread of this process.
bool ka_rseq_available(void);

/// Makes the sections use the area that says "CPU -1", unless another is in use. Runs as a constructor of the image; a host
/// whose heap may be called before constructors run calls it while the image is relocated.
void ka_rseq_begin(void);

/// Makes the sections use glibc's rseq area. From here on they find the CPU's own region.
/// Only after `regions` of every heap in use reach all CPUs: an inlined path reads the area first and `regions` after it.
void ka_rseq_adopt(void);

/// The CPU that this thread runs on at the moment of the call; 0 where unknown.
uint32_t ka_current_cpu(void);

/// How a barrier for other CPUs' sections ended.
typedef enum { KA_BARRIER_DONE, KA_BARRIER_UNAVAILABLE } ka_barrier;

/// Registers this process for the two barriers below. Idempotent. Whether the kernel has the first of them.
bool ka_barrier_register(void);

/// Every section that was running on `cpu` (on any, where negative) when this was called has ended or been aborted,
/// and what this thread wrote before is visible to later ones.
ka_barrier ka_barrier_sections(int32_t cpu);

/// A full memory barrier on every thread of this process.
ka_barrier ka_barrier_threads(void);

/// The most threads that own a region at once in `thread` mode.
#define KA_THREAD_SLOTS 1024

/// This thread's slot in 0 ..< KA_THREAD_SLOTS, claimed at the first call and handed back when the thread ends;
/// -1 where all are taken or this call interrupted itself.
int32_t ka_thread_slot(void);

/// Claims a slot that no thread owns, to work on its region. False where it is owned.
bool ka_thread_slot_claim(int32_t slot);

/// Hands back a slot that `ka_thread_slot_claim` gave.
void ka_thread_slot_release(int32_t slot);

#endif
