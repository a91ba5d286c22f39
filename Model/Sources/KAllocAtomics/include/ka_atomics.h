// The atomic operations under the names that the shipped sources use, each a call into the simulated machine. While the
// machine is not running threads (a scenario is being prepared or checked) they act on memory at once.

#ifndef KA_ATOMICS_H
#define KA_ATOMICS_H

#include "ka_types.h"
#include "km_machine.h"

#define KA_INLINE static inline __attribute__((always_inline))

#define KA_LOAD(T, N, O) \
  KA_INLINE T ka_##N##_load_##O(const T *_Nonnull word) { \
    return km_mode == KM_RUNNING ? (T)km_load(word, sizeof(T), KM_##O) : *(const volatile T *)word; \
  }
#define KA_STORE(T, N, O) \
  KA_INLINE void ka_##N##_store_##O(T *_Nonnull word, T value) { km_store(word, sizeof(T), KM_##O, value); }
#define KA_FETCH(T, N, OP, O) \
  KA_INLINE T ka_##N##_fetch_##OP##_##O(T *_Nonnull word, T operand) { \
    return (T)km_update(word, sizeof(T), KM_##O, KM_fetch_##OP, operand); \
  }
#define KA_EXCHANGE(T, N, O) \
  KA_INLINE T ka_##N##_exchange_##O(T *_Nonnull word, T value) { \
    return (T)km_update(word, sizeof(T), KM_##O, KM_exchange, value); \
  }
#define KA_CAS(T, N, O) \
  KA_INLINE T ka_##N##_cas_##O(T *_Nonnull word, T expected, T desired) { \
    return (T)km_compare_exchange(word, sizeof(T), KM_##O, expected, desired); \
  }

#define KA_READ_MODIFY_WRITE(T, N, O) \
  KA_EXCHANGE(T, N, O) \
  KA_CAS(T, N, O) \
  KA_FETCH(T, N, add, O) \
  KA_FETCH(T, N, sub, O) \
  KA_FETCH(T, N, or, O) \
  KA_FETCH(T, N, and, O)

#define KA_WORD(T, N) \
  KA_LOAD(T, N, relaxed) \
  KA_LOAD(T, N, acquire) \
  KA_LOAD(T, N, seq_cst) \
  KA_STORE(T, N, relaxed) \
  KA_STORE(T, N, release) \
  KA_STORE(T, N, seq_cst) \
  KA_READ_MODIFY_WRITE(T, N, relaxed) \
  KA_READ_MODIFY_WRITE(T, N, acquire) \
  KA_READ_MODIFY_WRITE(T, N, release) \
  KA_READ_MODIFY_WRITE(T, N, acq_rel) \
  KA_READ_MODIFY_WRITE(T, N, seq_cst)

KA_WORD(uint8_t, u8)
KA_WORD(uint32_t, u32)
KA_WORD(uint64_t, u64)

KA_INLINE void ka_fence_acquire(void) { km_fence(KM_acquire); }
KA_INLINE void ka_fence_release(void) { km_fence(KM_release); }
KA_INLINE void ka_fence_seq_cst(void) { km_fence(KM_seq_cst); }
KA_INLINE void ka_fence_signal(void) {}
KA_INLINE void ka_pause(void) {}
KA_INLINE void ka_prefetch_write(const void *_Nonnull address) {}

#endif
