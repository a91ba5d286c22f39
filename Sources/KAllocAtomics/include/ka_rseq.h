// Restartable sections: the operations on a CPU's stacks, as sequences that the kernel restarts elsewhere when the
// thread is preempted, migrated or interrupted by a signal before the last instruction.
//
// Shape of each section: publish the descriptor, read the CPU, find its region, check the limit, do the work with
// plain loads and stores, and commit with one store, the last instruction. No instruction is locked. An abort, a limit
// reached and a closed region all end in "not done": the caller's slow path reads why and retries a counted number of
// times.
//
// `regions` is read inside the section, after the rseq area's address: see `ka_rseq_adopt`.
//
// What the kernel's documentation promises is all that is used: `rseq_cs` is written, `cpu_id` is read, the signature
// stands before the abort address, and abort code lies outside the section
// (Documentation/userspace-api/rseq.rst; glibc's manual, "Restartable Sequences").
//
// The instructions of each architecture are in a file of its own: ka_rseq_x86_64.h, ka_rseq_aarch64.h.
// Where there is no Linux a section is never entered: the `kernel` binding will supply a region per CPU there.

#ifndef KA_RSEQ_H
#define KA_RSEQ_H

#include "ka_atomics.h"
#include "ka_heap.h"
#include "ka_sanitizer.h"

/// Whether sections may be used in this build and process.
static inline bool ka_sections_usable(void) {
#if defined(KA_TSAN)
  return ka_rseq_available();
#else
  return ka_rseq_available() && !ka_thread_sanitized();
#endif
}

#include "ka_rseq_aarch64.h"
#include "ka_rseq_x86_64.h"

#if defined(__linux__)

/// Takes the newest pointer from a stack of this CPU; 0: not done.
KA_INLINE uint64_t ka_section_pop(ka_heap *_Nonnull heap, uint64_t stack) {
  uint64_t region, top, object;
  KA_SECTION_WORD
  KA_SECTION_AREA(heap, not_done);
  KA_SECTION_PLACE(stack);
  __asm__ volatile goto(
      KA_SECTION_BEGIN KA_SECTION_POP KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [object] "=&r"(object) KA_SECTION_SCRATCH
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack)
      : "memory", "cc"
      : not_done);
  KA_ACQUIRE(words);
  if (!object) __builtin_unreachable();
  return object;
not_done:
  return 0;
}

#define KA_DEFINE_PUSH(NAME, LIMIT)                                                                                \
  KA_INLINE bool NAME(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object) {                                   \
    uint64_t region, top;                                                                                          \
    KA_SECTION_WORD                                                                                                \
    KA_SECTION_AREA(heap, not_done);                                                                               \
    KA_SECTION_PLACE(stack);                                                                                       \
    KA_RELEASE(words);                                                                                             \
    __asm__ volatile goto(                                                                                         \
        KA_SECTION_BEGIN KA_SECTION_PUSH(LIMIT) KA_SECTION_END                                                     \
        : [region] "=&r"(region), [top] "=&r"(top) KA_SECTION_SCRATCH                                              \
        : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [object] "r"(object)                                        \
        : "memory", "cc"                                                                                           \
        : not_done);                                                                                               \
    return true;                                                                                                   \
  not_done:                                                                                                        \
    return false;                                                                                                  \
  }

/// Puts a pointer on a stack of this CPU while top < end, the inlined path's limit; false: not done.
KA_DEFINE_PUSH(ka_section_push, "16")
/// Puts a pointer on a stack of this CPU while top < room, the slow path's limit; false: not done.
KA_DEFINE_PUSH(ka_section_push_room, "24")

/// Moves the newest `limit` bytes of pointers, or all there are, from a stack of this CPU to `target`, in their order.
/// Returns the number of bytes moved; 0: not done.
KA_INLINE uint64_t ka_section_pop_batch(
    ka_heap *_Nonnull heap, uint64_t stack, uint64_t *_Nonnull target, uint64_t limit) {
  uint64_t region, top, bytes, index, object;
  KA_SECTION_WORD
  KA_SECTION_AREA(heap, not_done);
  KA_SECTION_PLACE(stack);
  __asm__ volatile goto(
      KA_SECTION_BEGIN KA_SECTION_POP_BATCH KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [bytes] "=&r"(bytes), [index] "=&r"(index),
        [object] "=&r"(object) KA_SECTION_SCRATCH
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [target] "r"(target), [limit] "r"(limit)
      : "memory", "cc"
      : not_done);
  KA_ACQUIRE(words);
  KA_WRITTEN(target, bytes);
  return bytes;
not_done:
  return 0;
}

/// Moves the last `limit` bytes of pointers before `source_end`, or as many as there is room for, to a stack of this
/// CPU, in their order. Returns the number of bytes moved; 0: not done.
KA_INLINE uint64_t ka_section_push_batch(
    ka_heap *_Nonnull heap, uint64_t stack, const uint64_t *_Nonnull source_end, uint64_t limit) {
  uint64_t region, top, bytes, from, object;
  KA_SECTION_WORD
  KA_SECTION_AREA(heap, not_done);
  KA_SECTION_PLACE(stack);
  KA_RELEASE(words);
  __asm__ volatile goto(
      KA_SECTION_BEGIN KA_SECTION_PUSH_BATCH KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [bytes] "=&r"(bytes), [from] "=&r"(from),
        [object] "=&r"(object) KA_SECTION_SCRATCH
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [source_end] "r"(source_end), [limit] "r"(limit)
      : "memory", "cc"
      : not_done);
  KA_READ((const char *)source_end - bytes, bytes);
  return bytes;
not_done:
  return 0;
}

/// On CPU `cpu`, whose gate (the region's first word) is 0 and whose word at `guard_offset` holds `guard`: replaces the
/// word at `offset` of its region, where it holds `expected`, by `desired`. False: not done.
KA_INLINE bool ka_section_replace(
    ka_heap *_Nonnull heap, uint64_t cpu, uint64_t guard_offset, uint64_t guard, uint64_t offset, uint64_t expected,
    uint64_t desired) {
  uint64_t region;
  KA_SECTION_WORD
  KA_SECTION_AREA(heap, not_done);
  __asm__ volatile goto(
      KA_SECTION_BEGIN KA_SECTION_REPLACE KA_SECTION_END
      : [region] "=&r"(region) KA_SECTION_SCRATCH
      : KA_SECTION_FINDS(heap), [cpu] "r"(cpu), [offset] "r"(offset), [expected] "r"(expected),
        [desired] "r"(desired), [guard_offset] "r"(guard_offset), [guard] "r"(guard)
      : "memory", "cc"
      : not_done);
  return true;
not_done:
  return false;
}

#else

KA_INLINE uint64_t ka_section_pop(ka_heap *_Nonnull heap, uint64_t stack) { return 0; }
KA_INLINE bool ka_section_push(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object) { return false; }
KA_INLINE bool ka_section_push_room(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object) { return false; }
KA_INLINE uint64_t ka_section_pop_batch(
    ka_heap *_Nonnull heap, uint64_t stack, uint64_t *_Nonnull target, uint64_t limit) { return 0; }
KA_INLINE uint64_t ka_section_push_batch(
    ka_heap *_Nonnull heap, uint64_t stack, const uint64_t *_Nonnull source_end, uint64_t limit) { return 0; }
KA_INLINE bool ka_section_replace(
    ka_heap *_Nonnull heap, uint64_t cpu, uint64_t guard_offset, uint64_t guard, uint64_t offset, uint64_t expected,
    uint64_t desired) { return false; }

#endif

#endif
