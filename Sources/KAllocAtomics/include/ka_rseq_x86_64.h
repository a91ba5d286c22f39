// The restartable sections for x86-64; ka_rseq.h says what they are and includes this.
//
// The rseq area is found by its distance from the thread pointer, which the `fs` segment adds: until `ka_rseq_begin`
// that distance faults. Loads are performed in order here, so `regions` needs no more than to stand behind the offset.

#ifndef KA_RSEQ_X86_64_H
#define KA_RSEQ_X86_64_H

#include "ka_atomics.h"
#include "ka_heap.h"
#include "ka_sanitizer.h"

#if defined(__linux__) && defined(__x86_64__)

// Relaxed: loads keep their order on x86-64, so who sees the new offset sees the regions written before it.
#define KA_RSEQ_OFFSET() __atomic_load_n(&ka_rseq_offset, __ATOMIC_RELAXED)

#if defined(KA_TSAN)
KA_INLINE int32_t ka_section_cpu(uint64_t rseq) {
  int32_t cpu;
  __asm__ volatile("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(rseq));
  return cpu;
}
#define KA_SECTION_AREA(heap)                                                                                       \
  const uint64_t rseq = KA_RSEQ_OFFSET();                                                                          \
  char *const regions = (char *)__atomic_load_n(&(heap)->regions, __ATOMIC_RELAXED)
#define KA_SECTION_FINDS(heap) [rseq] "r"(rseq), [regions] "m"(regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap), [cpu] "r"(cpu)
#define KA_SECTION_ON_CPU                                                                                           \
  "cmpl %k[cpu], %%fs:4(%[rseq])\n"                                                                                \
  "jne %l[not_done]\n"
#else
#define KA_SECTION_AREA(heap)
#define KA_SECTION_FINDS(heap) [rseq] "r"(KA_RSEQ_OFFSET()), [regions] "m"((heap)->regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap)
#define KA_SECTION_ON_CPU
#endif

// 1: first instruction   2: behind the commit   3: descriptor   4: abort address
#define KA_SECTION_BEGIN                                                                                            \
  ".pushsection __rseq_cs, \"aw\"\n"                                                                               \
  ".balign 32\n"                                                                                                   \
  "3:\n"                                                                                                           \
  ".long 0, 0\n"                                                                                                   \
  ".quad 1f, 2f - 1f, 4f\n"                                                                                        \
  ".popsection\n"                                                                                                  \
  "leaq 3b(%%rip), %[region]\n"                                                                                    \
  "movq %[region], %%fs:8(%[rseq])\n"                                                                              \
  "1:\n"                                                                                                           \
  KA_SECTION_ON_CPU                                                                                                \
  "movslq %%fs:4(%[rseq]), %[region]\n"                                                                            \
  "shlq $16, %[region]\n"                                                                                          \
  "addq %[regions], %[region]\n"

#define KA_SECTION_END                                                                                              \
  "2:\n"                                                                                                           \
  ".pushsection .text.ka_rseq_abort, \"ax\"\n"                                                                     \
  ".byte 0x0f, 0xb9, 0x3d\n"                                                                                       \
  ".long 0x53053053\n"                                                                                             \
  "4:\n"                                                                                                           \
  "jmp %l[not_done]\n"                                                                                             \
  ".popsection\n"

/// Takes the newest pointer from a stack of this CPU; 0: not done.
KA_INLINE uint64_t ka_section_pop(ka_heap *_Nonnull heap, uint64_t stack) {
  uint64_t region, top, object;
  KA_SECTION_AREA(heap);
  KA_SECTION_PLACE(stack);
  __asm__ volatile goto(
      KA_SECTION_BEGIN
      "movq (%[region],%[stack]), %[top]\n"
      "cmpq 8(%[region],%[stack]), %[top]\n"
      "jbe %l[not_done]\n"
      "movq -8(%[top]), %[object]\n"
      "addq $-8, %[top]\n"
      "movq %[top], (%[region],%[stack])\n"
      KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [object] "=&r"(object)
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack)
      : "memory", "cc"
      : not_done);
  KA_ACQUIRE(words);
  if (!object) __builtin_unreachable();
  return object;
not_done:
  return 0;
}

#define KA_DEFINE_PUSH(NAME, LIMIT)                                                                                 \
  KA_INLINE bool NAME(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object) {                                   \
    uint64_t region, top;                                                                                          \
    KA_SECTION_AREA(heap);                                                                                         \
    KA_SECTION_PLACE(stack);                                                                                       \
    KA_RELEASE(words);                                                                                             \
    __asm__ volatile goto(                                                                                         \
        KA_SECTION_BEGIN                                                                                           \
        "movq (%[region],%[stack]), %[top]\n"                                                                      \
        "cmpq " LIMIT "(%[region],%[stack]), %[top]\n"                                                             \
        "jae %l[not_done]\n"                                                                                       \
        "movq %[object], (%[top])\n"                                                                               \
        "addq $8, %[top]\n"                                                                                        \
        "movq %[top], (%[region],%[stack])\n"                                                                      \
        KA_SECTION_END                                                                                             \
        : [region] "=&r"(region), [top] "=&r"(top)                                                                 \
        : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [object] "r"(object)     \
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

/// Frees the object at `address`, whose class is looked up in the heap's window, onto a stack of this CPU; false: not done.
///
/// Not done where no object begins at `address`, and where it is what was freed last on this CPU: a double free, or a stale
/// word below an empty stack. Only on x86-64, which keeps the loads before the section in order; they are those of
/// `Heap.objectClass`, in Slab.
KA_INLINE bool ka_section_free(ka_heap *_Nonnull heap, uint64_t address) {
#if defined(KA_TSAN)
  // Which stack is known too late: the slow path finds it first.
  (void)heap, (void)address;
  return false;
#else
  uint64_t region, top, entry;
  __asm__ volatile goto(
      "movq %[object], %[entry]\n"
      "subq %[base], %[entry]\n"
      "shrq $12, %[entry]\n"
      "cmpq %[frames], %[entry]\n"
      "jae %l[not_done]\n"
      "movq %[owners], %[top]\n"
      "movzbl (%[top],%[entry]), %k[entry]\n"
      "shll $5, %k[entry]\n"
      "movq %c[mask](%[top],%[entry]), %[region]\n"
      "andq %[object], %[region]\n"
      "imulq %c[reciprocal](%[top],%[entry]), %[region]\n"
      "cmpq %c[reciprocal](%[top],%[entry]), %[region]\n"
      "jae %l[not_done]\n"
      KA_SECTION_BEGIN
      "movq 96(%[region],%[entry]), %[top]\n"
      "cmpq 112(%[region],%[entry]), %[top]\n"
      "jae %l[not_done]\n"
      "cmpq %[object], -8(%[top])\n"
      "je %l[not_done]\n"
      "movq %[object], (%[top])\n"
      "addq $8, %[top]\n"
      "movq %[top], 96(%[region],%[entry])\n"
      KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [entry] "=&r"(entry)
      : KA_SECTION_INPUTS(heap), [object] "r"(address), [base] "m"(heap->window_base),
        [frames] "m"(heap->window_frames), [owners] "m"(heap->owners), [mask] "i"(-KA_CLASSES_BYTES),
        [reciprocal] "i"(8 - KA_CLASSES_BYTES)
      : "memory", "cc"
      : not_done);
  return true;
not_done:
  return false;
#endif
}

/// Moves the newest `limit` bytes of pointers, or all there are, from a stack of this CPU to `target`, in their order.
/// Returns the number of bytes moved; 0: not done.
KA_INLINE uint64_t ka_section_pop_batch(
    ka_heap *_Nonnull heap, uint64_t stack, uint64_t *_Nonnull target, uint64_t limit) {
  uint64_t region, top, bytes, index, object;
  KA_SECTION_AREA(heap);
  KA_SECTION_PLACE(stack);
  __asm__ volatile goto(
      KA_SECTION_BEGIN
      "movq (%[region],%[stack]), %[top]\n"
      "movq %[top], %[bytes]\n"
      "subq 8(%[region],%[stack]), %[bytes]\n"
      "jbe %l[not_done]\n"
      "cmpq %[limit], %[bytes]\n"
      "cmovaq %[limit], %[bytes]\n"
      "subq %[bytes], %[top]\n"
      "xorl %k[index], %k[index]\n"
      "5:\n"
      "movq (%[top],%[index]), %[object]\n"
      "movq %[object], (%[target],%[index])\n"
      "addq $8, %[index]\n"
      "cmpq %[bytes], %[index]\n"
      "jb 5b\n"
      "movq %[top], (%[region],%[stack])\n"
      KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [bytes] "=&r"(bytes), [index] "=&r"(index), [object] "=&r"(object)
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [target] "r"(target),
        [limit] "r"(limit)
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
  KA_SECTION_AREA(heap);
  KA_SECTION_PLACE(stack);
  KA_RELEASE(words);
  __asm__ volatile goto(
      KA_SECTION_BEGIN
      "movq (%[region],%[stack]), %[top]\n"
      "movq 24(%[region],%[stack]), %[bytes]\n"
      "subq %[top], %[bytes]\n"
      "jbe %l[not_done]\n"
      "cmpq %[limit], %[bytes]\n"
      "cmovaq %[limit], %[bytes]\n"
      "movq %[source_end], %[from]\n"
      "subq %[bytes], %[from]\n"
      "5:\n"
      "movq (%[from]), %[object]\n"
      "movq %[object], (%[top])\n"
      "addq $8, %[top]\n"
      "addq $8, %[from]\n"
      "cmpq %[source_end], %[from]\n"
      "jb 5b\n"
      "movq %[top], (%[region],%[stack])\n"
      KA_SECTION_END
      : [region] "=&r"(region), [top] "=&r"(top), [bytes] "=&r"(bytes), [from] "=&r"(from), [object] "=&r"(object)
      : KA_SECTION_INPUTS(heap), [stack] "r"(stack), [source_end] "r"(source_end),
        [limit] "r"(limit)
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
  KA_SECTION_AREA(heap);
  __asm__ volatile goto(
      KA_SECTION_BEGIN
      "cmpl %k[cpu], %%fs:4(%[rseq])\n"
      "jne %l[not_done]\n"
      "cmpq $0, (%[region])\n"
      "jne %l[not_done]\n"
      "cmpq %[guard], (%[region],%[guard_offset])\n"
      "jne %l[not_done]\n"
      "cmpq %[expected], (%[region],%[offset])\n"
      "jne %l[not_done]\n"
      "movq %[desired], (%[region],%[offset])\n"
      KA_SECTION_END
      : [region] "=&r"(region)
      : KA_SECTION_FINDS(heap), [cpu] "r"(cpu), [offset] "r"(offset),
        [expected] "r"(expected), [desired] "r"(desired), [guard_offset] "r"(guard_offset), [guard] "r"(guard)
      : "memory", "cc"
      : not_done);
  return true;
not_done:
  return false;
}

#endif

#endif
