// What ThreadSanitizer must be told: it sees the accesses that the compiler makes, and none of the sections' assembly.
//
// The words of a stack stand for what its CPU's sections pass on: who pushes releases them; who pops, or drains the CPU
// behind the barrier, acquires them. Nothing is told of the objects: a way through a magazine would then look ordered
// whatever the depot does. The release comes before the section, which must run on the CPU that it was for: in such a
// build a section that finds itself on another is not done. Magazines that a section uses are told as ranges.
//
// Swift imports C headers without the compiler's sanitizer features, unless it is told: `swift build --sanitize thread
// -Xcc -fsanitize=thread`, as Scripts/test-sanitizer does. A build without that has sections which ThreadSanitizer
// cannot see, and binds to threads instead of CPUs: `ka_sections_usable`.

#ifndef KA_SANITIZER_H
#define KA_SANITIZER_H

#include "ka_types.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KA_TSAN 1
void __tsan_acquire(void *_Nonnull);
void __tsan_release(void *_Nonnull);
void __tsan_read_range(void *_Nonnull, unsigned long);
void __tsan_write_range(void *_Nonnull, unsigned long);
#endif
#endif

#if defined(KA_TSAN)
/// Before a section, behind KA_SECTION_AREA: the CPU it must run on, and the words of the stack that it works on.
#define KA_SECTION_PLACE(stack)                                                                                     \
  const int32_t cpu = ka_section_cpu(rseq);                                                                        \
  void *const words = regions + (int64_t)cpu * KA_REGION_BYTES + (stack)
#define KA_RELEASE(stack) __tsan_release(stack)
#define KA_ACQUIRE(stack) __tsan_acquire(stack)
#define KA_READ(from, bytes) __tsan_read_range((void *)(from), bytes)
#define KA_WRITTEN(to, bytes) __tsan_write_range(to, bytes)
#else
#define KA_SECTION_PLACE(stack)
#define KA_RELEASE(stack) (void)0
#define KA_ACQUIRE(stack) (void)0
#define KA_READ(from, bytes) (void)0
#define KA_WRITTEN(to, bytes) (void)0
#endif

/// Whether the C files were built for ThreadSanitizer.
bool ka_thread_sanitized(void);

/// The caller has stopped the CPU that the words at `stack` belong to, and is ordered after its sections.
static inline void ka_stack_stopped(void *_Nonnull stack) {
  (void)stack;
  KA_ACQUIRE(stack);
}

#endif
