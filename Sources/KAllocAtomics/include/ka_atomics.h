// Atomic operations on 8-, 32-, 64- and 128-bit words. The memory ordering is part of every name; there is no default.
//
// A word is plain memory that is touched by nothing but these functions once it is shared. Each function is one
// instruction (a compare-exchange may be a load-linked loop on AArch64), and none calls libatomic.
// A compare-exchange returns the value found: it succeeded where that equals `expected`.

#ifndef KA_ATOMICS_H
#define KA_ATOMICS_H

#include "ka_types.h"

#define KA_INLINE static inline __attribute__((always_inline))

#define KA_LOAD(T, N, O, M) \
  KA_INLINE T ka_##N##_load_##O(const T *_Nonnull word) { return __atomic_load_n(word, M); }
#define KA_STORE(T, N, O, M) \
  KA_INLINE void ka_##N##_store_##O(T *_Nonnull word, T value) { __atomic_store_n(word, value, M); }
#define KA_FETCH(T, N, OP, O, M) \
  KA_INLINE T ka_##N##_fetch_##OP##_##O(T *_Nonnull word, T operand) { \
    return __atomic_fetch_##OP(word, operand, M); \
  }
#define KA_EXCHANGE(T, N, O, M) \
  KA_INLINE T ka_##N##_exchange_##O(T *_Nonnull word, T value) { return __atomic_exchange_n(word, value, M); }
#define KA_CAS(T, N, O, M, FAIL) \
  KA_INLINE T ka_##N##_cas_##O(T *_Nonnull word, T expected, T desired) { \
    __atomic_compare_exchange_n(word, &expected, desired, false, M, FAIL); \
    return expected; \
  }

#define KA_READ_MODIFY_WRITE(T, N, O, M, FAIL) \
  KA_EXCHANGE(T, N, O, M) \
  KA_CAS(T, N, O, M, FAIL) \
  KA_FETCH(T, N, add, O, M) \
  KA_FETCH(T, N, sub, O, M) \
  KA_FETCH(T, N, or, O, M) \
  KA_FETCH(T, N, and, O, M)

#define KA_WORD(T, N) \
  KA_LOAD(T, N, relaxed, __ATOMIC_RELAXED) \
  KA_LOAD(T, N, acquire, __ATOMIC_ACQUIRE) \
  KA_LOAD(T, N, seq_cst, __ATOMIC_SEQ_CST) \
  KA_STORE(T, N, relaxed, __ATOMIC_RELAXED) \
  KA_STORE(T, N, release, __ATOMIC_RELEASE) \
  KA_STORE(T, N, seq_cst, __ATOMIC_SEQ_CST) \
  KA_READ_MODIFY_WRITE(T, N, relaxed, __ATOMIC_RELAXED, __ATOMIC_RELAXED) \
  KA_READ_MODIFY_WRITE(T, N, acquire, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE) \
  KA_READ_MODIFY_WRITE(T, N, release, __ATOMIC_RELEASE, __ATOMIC_RELAXED) \
  KA_READ_MODIFY_WRITE(T, N, acq_rel, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) \
  KA_READ_MODIFY_WRITE(T, N, seq_cst, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

KA_WORD(uint8_t, u8)
KA_WORD(uint32_t, u32)
KA_WORD(uint64_t, u64)

KA_INLINE void ka_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
KA_INLINE void ka_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
KA_INLINE void ka_fence_seq_cst(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// Orders this thread's accesses against a signal handler on the same thread; no instruction.
KA_INLINE void ka_fence_signal(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/// A pair of 64-bit halves, 16-byte aligned, that `ka_u128_cas` compares and exchanges as one.
typedef struct __attribute__((aligned(16))) {
  uint64_t low, high;
} ka_u128;

/// Sequentially consistent. On x86-64 the inline `cmpxchg16b`; on AArch64 a loop of `ldaxp` and `stlxp`.
KA_INLINE bool ka_u128_cas(ka_u128 *_Nonnull word, ka_u128 *_Nonnull expected, ka_u128 desired) {
#if defined(__x86_64__)
  // rbx may be the compiler's frame pointer, which it does not guard from an operand in it: it is back when this ends.
  bool done;
  uint64_t low = desired.low;
  __asm__ volatile("xchgq %%rbx, %[low]\n"
                   "lock cmpxchg16b (%[word])\n"
                   "xchgq %%rbx, %[low]\n"
                   : "=@ccz"(done), "+a"(expected->low), "+d"(expected->high), [low] "+&r"(low)
                   : [word] "D"(word), "c"(desired.high)
                   : "memory");
  return done;
#elif defined(__aarch64__)
  uint64_t low, high, new_low, new_high;
  uint32_t failed;
  // Between the two there is no other access to memory, which could end the reservation for ever. What was found is
  // stored again where it is not what was expected: only then were the two halves read as one.
  __asm__ volatile("1:\n"
                   "ldaxp %[low], %[high], [%[word]]\n"
                   "cmp %[low], %[expected_low]\n"
                   "ccmp %[high], %[expected_high], #0, eq\n"
                   "csel %[new_low], %[desired_low], %[low], eq\n"
                   "csel %[new_high], %[desired_high], %[high], eq\n"
                   "stlxp %w[failed], %[new_low], %[new_high], [%[word]]\n"
                   "cbnz %w[failed], 1b\n"
                   : [low] "=&r"(low), [high] "=&r"(high), [new_low] "=&r"(new_low), [new_high] "=&r"(new_high),
                     [failed] "=&r"(failed)
                   : [word] "r"(word), [expected_low] "r"(expected->low), [expected_high] "r"(expected->high),
                     [desired_low] "r"(desired.low), [desired_high] "r"(desired.high)
                   : "memory", "cc");
  const bool done = low == expected->low && high == expected->high;
  expected->low = low;
  expected->high = high;
  return done;
#else
#error "KAllocAtomics knows x86-64 and AArch64."
#endif
}

/// Both halves, read as one. A compare-exchange of zero with zero: the word must be writable.
KA_INLINE ka_u128 ka_u128_load(ka_u128 *_Nonnull word) {
  ka_u128 found = {0, 0};
  ka_u128_cas(word, &found, found);
  return found;
}

/// A hint that this is a retry loop.
KA_INLINE void ka_pause(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#else
  __asm__ volatile("yield");
#endif
}

/// A hint that the line at `address` will be written.
KA_INLINE void ka_prefetch_write(const void *_Nonnull address) { __builtin_prefetch(address, 1); }

#endif
