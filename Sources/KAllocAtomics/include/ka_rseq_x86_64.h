// The instructions of the restartable sections for x86-64; ka_rseq.h says what they are and includes this.
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
#define KA_SECTION_AREA(heap, not_done)                                                                            \
  const uint64_t rseq = KA_RSEQ_OFFSET();                                                                          \
  char *const regions = (char *)__atomic_load_n(&(heap)->regions, __ATOMIC_RELAXED)
#define KA_SECTION_FINDS(heap) [rseq] "r"(rseq), [regions] "m"(regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap), [cpu] "r"(cpu)
#define KA_SECTION_ON_CPU                                                                                          \
  "cmpl %k[cpu], %%fs:4(%[rseq])\n"                                                                                \
  "jne %l[not_done]\n"
#else
#define KA_SECTION_AREA(heap, not_done)
#define KA_SECTION_FINDS(heap) [rseq] "r"(KA_RSEQ_OFFSET()), [regions] "m"((heap)->regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap)
#define KA_SECTION_ON_CPU
#endif

// No section needs a register beside its operands.
#define KA_SECTION_WORD
#define KA_SECTION_SCRATCH

// 1: first instruction   2: behind the commit   3: descriptor   4: abort address
#define KA_SECTION_BEGIN                                                                                           \
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
  "shlq $" KA_REGION_SHIFT_TEXT ", %[region]\n"                                                                    \
  "addq %[regions], %[region]\n"

#define KA_SECTION_END                                                                                             \
  "2:\n"                                                                                                           \
  ".pushsection .text.ka_rseq_abort, \"ax\"\n"                                                                     \
  ".byte 0x0f, 0xb9, 0x3d\n"                                                                                       \
  ".long 0x53053053\n"                                                                                             \
  "4:\n"                                                                                                           \
  "jmp %l[not_done]\n"                                                                                             \
  ".popsection\n"

// What the sections of ka_rseq.h do between the two. The last instruction is the commit.

#define KA_SECTION_POP                                                                                             \
  "movq (%[region],%[stack]), %[top]\n"                                                                            \
  "cmpq 8(%[region],%[stack]), %[top]\n"                                                                           \
  "jbe %l[not_done]\n"                                                                                             \
  "movq -8(%[top]), %[object]\n"                                                                                   \
  "addq $-8, %[top]\n"                                                                                             \
  "movq %[top], (%[region],%[stack])\n"

#define KA_SECTION_PUSH(LIMIT)                                                                                     \
  "movq (%[region],%[stack]), %[top]\n"                                                                            \
  "cmpq " LIMIT "(%[region],%[stack]), %[top]\n"                                                                   \
  "jae %l[not_done]\n"                                                                                             \
  "movq %[object], (%[top])\n"                                                                                     \
  "addq $8, %[top]\n"                                                                                              \
  "movq %[top], (%[region],%[stack])\n"

#define KA_SECTION_POP_BATCH                                                                                       \
  "movq (%[region],%[stack]), %[top]\n"                                                                            \
  "movq %[top], %[bytes]\n"                                                                                        \
  "subq 8(%[region],%[stack]), %[bytes]\n"                                                                         \
  "jbe %l[not_done]\n"                                                                                             \
  "cmpq %[limit], %[bytes]\n"                                                                                      \
  "cmovaq %[limit], %[bytes]\n"                                                                                    \
  "subq %[bytes], %[top]\n"                                                                                        \
  "xorl %k[index], %k[index]\n"                                                                                    \
  "5:\n"                                                                                                           \
  "movq (%[top],%[index]), %[object]\n"                                                                            \
  "movq %[object], (%[target],%[index])\n"                                                                         \
  "addq $8, %[index]\n"                                                                                            \
  "cmpq %[bytes], %[index]\n"                                                                                      \
  "jb 5b\n"                                                                                                        \
  "movq %[top], (%[region],%[stack])\n"

#define KA_SECTION_PUSH_BATCH                                                                                      \
  "movq (%[region],%[stack]), %[top]\n"                                                                            \
  "movq 24(%[region],%[stack]), %[bytes]\n"                                                                        \
  "subq %[top], %[bytes]\n"                                                                                        \
  "jbe %l[not_done]\n"                                                                                             \
  "cmpq %[limit], %[bytes]\n"                                                                                      \
  "cmovaq %[limit], %[bytes]\n"                                                                                    \
  "movq %[source_end], %[from]\n"                                                                                  \
  "subq %[bytes], %[from]\n"                                                                                       \
  "5:\n"                                                                                                           \
  "movq (%[from]), %[object]\n"                                                                                    \
  "movq %[object], (%[top])\n"                                                                                     \
  "addq $8, %[top]\n"                                                                                              \
  "addq $8, %[from]\n"                                                                                             \
  "cmpq %[source_end], %[from]\n"                                                                                  \
  "jb 5b\n"                                                                                                        \
  "movq %[top], (%[region],%[stack])\n"

#define KA_SECTION_REPLACE                                                                                         \
  "cmpl %k[cpu], %%fs:4(%[rseq])\n"                                                                                \
  "jne %l[not_done]\n"                                                                                             \
  "cmpq $0, (%[region])\n"                                                                                         \
  "jne %l[not_done]\n"                                                                                             \
  "cmpq %[guard], (%[region],%[guard_offset])\n"                                                                   \
  "jne %l[not_done]\n"                                                                                             \
  "cmpq %[expected], (%[region],%[offset])\n"                                                                      \
  "jne %l[not_done]\n"                                                                                             \
  "movq %[desired], (%[region],%[offset])\n"

#if defined(KA_TSAN)
// Which stack is known too late: the slow path finds it first.
#define KA_DEFINE_FREE(NAME, PARAMETERS, CHECK, ...) \
  KA_INLINE bool NAME PARAMETERS {                   \
    (void)heap, (void)address;                       \
    return false;                                    \
  }
#else
#define KA_DEFINE_FREE(NAME, PARAMETERS, CHECK, ...)                                                               \
  KA_INLINE bool NAME PARAMETERS {                                                                                 \
    uint64_t region, top, entry;                                                                                   \
    __asm__ volatile goto(                                                                                         \
        "movq %[object], %[entry]\n"                                                                               \
        "subq %[base], %[entry]\n"                                                                                 \
        "shrq $12, %[entry]\n"                                                                                     \
        "cmpq %[frames], %[entry]\n"                                                                               \
        "jae %l[not_done]\n"                                                                                       \
        "movq %[owners], %[top]\n"                                                                                 \
        "movzbl (%[top],%[entry]), %k[entry]\n"                                                                    \
        "shll $5, %k[entry]\n" CHECK                                                                               \
        "movq %c[mask](%[top],%[entry]), %[region]\n"                                                              \
        "andq %[object], %[region]\n"                                                                              \
        "imulq %c[reciprocal](%[top],%[entry]), %[region]\n"                                                       \
        "cmpq %c[reciprocal](%[top],%[entry]), %[region]\n"                                                        \
        "jae %l[not_done]\n"                                                                                       \
        KA_SECTION_BEGIN                                                                                           \
        "movq 96(%[region],%[entry]), %[top]\n"                                                                    \
        "cmpq 112(%[region],%[entry]), %[top]\n"                                                                   \
        "jae %l[not_done]\n"                                                                                       \
        "cmpq %[object], -8(%[top])\n"                                                                             \
        "je %l[not_done]\n"                                                                                        \
        "movq %[object], (%[top])\n"                                                                               \
        "addq $8, %[top]\n"                                                                                        \
        "movq %[top], 96(%[region],%[entry])\n"                                                                    \
        KA_SECTION_END                                                                                             \
        : [region] "=&r"(region), [top] "=&r"(top), [entry] "=&r"(entry)                                           \
        : KA_SECTION_INPUTS(heap), [object] "r"(address), [base] "m"(heap->window_base),                           \
          [frames] "m"(heap->window_frames), [owners] "m"(heap->owners), [mask] "i"(-KA_CLASSES_BYTES),            \
          [reciprocal] "i"(8 - KA_CLASSES_BYTES) __VA_ARGS__                                                       \
        : "memory", "cc"                                                                                           \
        : not_done);                                                                                               \
    return true;                                                                                                   \
  not_done:                                                                                                        \
    return false;                                                                                                  \
  }
#endif

/// Frees the block at `address`, whose class is looked up in the heap's window, onto a stack of this CPU; false: not done.
///
/// Not done where no block begins at `address`, and where it is what was freed last on this CPU: a double free, or a stale
/// word below an empty stack. Only on x86-64, which keeps the loads before the section in order; they are those of
/// `Heap.objectClass`, in Slab.
KA_DEFINE_FREE(ka_section_free, (ka_heap *_Nonnull heap, uint64_t address), "")

/// The same where the block belongs on the stack at byte `stack` of a region; otherwise not done.
KA_DEFINE_FREE(
    ka_section_free_to, (ka_heap *_Nonnull heap, uint64_t address, uint64_t stack),
    "cmpq %[expected], %[entry]\njne %l[not_done]\n", , [expected] "r"(stack - KA_OWNER_STACK))

#endif

#endif
