// The instructions of the restartable sections for AArch64; ka_rseq.h says what they are and includes this. Twins of those for
// x86-64, but for `ka_section_free`, whose loads need orderings here.

#ifndef KA_RSEQ_AARCH64_H
#define KA_RSEQ_AARCH64_H

#include "ka_atomics.h"
#include "ka_heap.h"
#include "ka_sanitizer.h"

#if defined(__linux__) && defined(__aarch64__)

// The rseq area's offset is 0 until `ka_rseq_begin`: unlike on x86-64, no distance from the thread pointer faults.
KA_INLINE uint64_t ka_rseq_area(void) {
  uint64_t offset = __atomic_load_n(&ka_rseq_offset, __ATOMIC_ACQUIRE);
  return offset ? (uint64_t)(uintptr_t)__builtin_thread_pointer() + offset : 0;
}

#if defined(KA_TSAN)
KA_INLINE int32_t ka_section_cpu(uint64_t rseq) {
  return __atomic_load_n((int32_t *)(uintptr_t)(rseq + 4), __ATOMIC_RELAXED);
}
#define KA_SECTION_AREA(heap, not_done)                                                                            \
  const uint64_t rseq = ka_rseq_area();                                                                            \
  if (!rseq) goto not_done;                                                                                        \
  char *const regions = (char *)__atomic_load_n(&(heap)->regions, __ATOMIC_RELAXED)
#define KA_SECTION_FINDS(heap) [rseq] "r"(rseq), [regions] "m"(regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap), [cpu] "r"(cpu)
#define KA_SECTION_ON_CPU                                                                                          \
  "ldr %w[word], [%[rseq], #4]\n"                                                                                  \
  "cmp %w[word], %w[cpu]\n"                                                                                        \
  "b.ne %l[not_done]\n"
#else
#define KA_SECTION_AREA(heap, not_done)                                                                            \
  const uint64_t rseq = ka_rseq_area();                                                                            \
  if (!rseq) goto not_done
#define KA_SECTION_FINDS(heap) [rseq] "r"(rseq), [regions] "m"((heap)->regions)
#define KA_SECTION_INPUTS(heap) KA_SECTION_FINDS(heap)
#define KA_SECTION_ON_CPU
#endif

// A register beside the operands: for what is loaded to be compared.
#define KA_SECTION_WORD uint64_t word;
#define KA_SECTION_SCRATCH , [word] "=&r"(word)

#define KA_SECTION_BEGIN                                                                                           \
  ".pushsection __rseq_cs, \"aw\"\n"                                                                               \
  ".balign 32\n"                                                                                                   \
  "3:\n"                                                                                                           \
  ".long 0, 0\n"                                                                                                   \
  ".quad 1f, 2f - 1f, 4f\n"                                                                                        \
  ".popsection\n"                                                                                                  \
  "adrp %[region], 3b\n"                                                                                           \
  "add %[region], %[region], :lo12:3b\n"                                                                           \
  "str %[region], [%[rseq], #8]\n"                                                                                 \
  "1:\n"                                                                                                           \
  KA_SECTION_ON_CPU                                                                                                \
  "ldr %[word], %[regions]\n"                                                                                      \
  "ldrsw %[region], [%[rseq], #4]\n"                                                                               \
  "add %[region], %[word], %[region], lsl #" KA_REGION_SHIFT_TEXT "\n"

#define KA_SECTION_END                                                                                             \
  "2:\n"                                                                                                           \
  ".pushsection .text.ka_rseq_abort, \"ax\"\n"                                                                     \
  ".inst 0xd428bc00\n"                                                                                             \
  "4:\n"                                                                                                           \
  "b %l[not_done]\n"                                                                                               \
  ".popsection\n"

#define KA_SECTION_POP                                                                                             \
  "add %[region], %[region], %[stack]\n"                                                                           \
  "ldp %[top], %[word], [%[region]]\n"                                                                             \
  "cmp %[top], %[word]\n"                                                                                          \
  "b.ls %l[not_done]\n"                                                                                            \
  "ldr %[object], [%[top], #-8]!\n"                                                                                \
  "str %[top], [%[region]]\n"

#define KA_SECTION_PUSH(LIMIT)                                                                                     \
  "add %[region], %[region], %[stack]\n"                                                                           \
  "ldr %[top], [%[region]]\n"                                                                                      \
  "ldr %[word], [%[region], #" LIMIT "]\n"                                                                         \
  "cmp %[top], %[word]\n"                                                                                          \
  "b.hs %l[not_done]\n"                                                                                            \
  "str %[object], [%[top]], #8\n"                                                                                  \
  "str %[top], [%[region]]\n"

#define KA_SECTION_POP_BATCH                                                                                       \
  "add %[region], %[region], %[stack]\n"                                                                           \
  "ldp %[top], %[word], [%[region]]\n"                                                                             \
  "subs %[bytes], %[top], %[word]\n"                                                                               \
  "b.ls %l[not_done]\n"                                                                                            \
  "cmp %[bytes], %[limit]\n"                                                                                       \
  "csel %[bytes], %[limit], %[bytes], hi\n"                                                                        \
  "sub %[top], %[top], %[bytes]\n"                                                                                 \
  "mov %[index], #0\n"                                                                                             \
  "5:\n"                                                                                                           \
  "ldr %[object], [%[top], %[index]]\n"                                                                            \
  "str %[object], [%[target], %[index]]\n"                                                                         \
  "add %[index], %[index], #8\n"                                                                                   \
  "cmp %[index], %[bytes]\n"                                                                                       \
  "b.lo 5b\n"                                                                                                      \
  "str %[top], [%[region]]\n"

#define KA_SECTION_PUSH_BATCH                                                                                      \
  "add %[region], %[region], %[stack]\n"                                                                           \
  "ldr %[top], [%[region]]\n"                                                                                      \
  "ldr %[word], [%[region], #24]\n"                                                                                \
  "subs %[bytes], %[word], %[top]\n"                                                                               \
  "b.ls %l[not_done]\n"                                                                                            \
  "cmp %[bytes], %[limit]\n"                                                                                       \
  "csel %[bytes], %[limit], %[bytes], hi\n"                                                                        \
  "sub %[from], %[source_end], %[bytes]\n"                                                                         \
  "5:\n"                                                                                                           \
  "ldr %[object], [%[from]], #8\n"                                                                                 \
  "str %[object], [%[top]], #8\n"                                                                                  \
  "cmp %[from], %[source_end]\n"                                                                                   \
  "b.lo 5b\n"                                                                                                      \
  "str %[top], [%[region]]\n"

#define KA_SECTION_REPLACE                                                                                         \
  "ldr %w[word], [%[rseq], #4]\n"                                                                                  \
  "cmp %w[word], %w[cpu]\n"                                                                                        \
  "b.ne %l[not_done]\n"                                                                                            \
  "ldr %[word], [%[region]]\n"                                                                                     \
  "cbnz %[word], %l[not_done]\n"                                                                                   \
  "ldr %[word], [%[region], %[guard_offset]]\n"                                                                    \
  "cmp %[word], %[guard]\n"                                                                                        \
  "b.ne %l[not_done]\n"                                                                                            \
  "ldr %[word], [%[region], %[offset]]\n"                                                                          \
  "cmp %[word], %[expected]\n"                                                                                     \
  "b.ne %l[not_done]\n"                                                                                            \
  "str %[desired], [%[region], %[offset]]\n"

#endif

#endif
