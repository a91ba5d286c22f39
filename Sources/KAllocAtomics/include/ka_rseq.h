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
// Each architecture has a file of its own: ka_rseq_x86_64.h, ka_rseq_aarch64.h.
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

#if !defined(__linux__)

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
