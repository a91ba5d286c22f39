// The few things that the stress program needs below Swift: atomics on mapped words, a clock, CPU pinning, and a
// last word when the process crashes. Apart from the library's own atomics on purpose: what checks the allocator
// shares no code with it.

#ifndef CSTRESS_H
#define CSTRESS_H

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CS_INLINE static inline __attribute__((always_inline))

CS_INLINE uint64_t cs_load_relaxed(const uint64_t *_Nonnull word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
CS_INLINE uint64_t cs_load_acquire(const uint64_t *_Nonnull word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
CS_INLINE void cs_store_relaxed(uint64_t *_Nonnull word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
CS_INLINE void cs_store_release(uint64_t *_Nonnull word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
CS_INLINE uint64_t cs_fetch_or_relaxed(uint64_t *_Nonnull word, uint64_t bits) {
  return __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
}
CS_INLINE uint64_t cs_fetch_and_relaxed(uint64_t *_Nonnull word, uint64_t bits) {
  return __atomic_fetch_and(word, bits, __ATOMIC_RELAXED);
}
/// Returns the value found; it succeeded where that equals `expected`. Acquire and release.
CS_INLINE uint64_t cs_compare_exchange(uint64_t *_Nonnull word, uint64_t expected, uint64_t desired) {
  __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  return expected;
}

/// Nanoseconds of a clock that never goes back.
CS_INLINE uint64_t cs_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// Zeroed pages from the operating system, backed on first touch; NULL where refused.
void *_Nullable cs_map(size_t bytes);
void cs_unmap(void *_Nonnull address, size_t bytes);

/// CPUs that this process may run on.
int cs_cpu_count(void);
/// Keeps the calling thread on the `index`-th (modulo their number) of those CPUs; -1 lets it run on all of them again.
/// False where the system refuses.
bool cs_pin(int index);

/// The CPU that the calling thread is on.
int cs_cpu(void);

/// How often the calling thread has asked, this time included.
uint32_t cs_turn(void);

/// The CPU time of this process, user and system, in nanoseconds.
uint64_t cs_cpu_time(void);

/// What to write to standard error should the process crash (a trap in the allocator, a bad access). Copied.
void cs_crash_message(const char *_Nonnull text);
/// Catches SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE and SIGABRT: writes the message once, then leaves the signal to
/// whoever had it before.
void cs_crash_install(void);

/// Bytes of memory that count as this process's own now (VmRSS) and at most so far (VmHWM); 0 where unknown.
uint64_t cs_resident_bytes(void);
uint64_t cs_peak_resident_bytes(void);

/// From now on the end of the process that started this one, however it ends, is the end of this one.
void cs_end_with_parent(void);

#endif
