// What measuring needs beside Swift. Nothing here allocates.

#ifndef CBENCH_H
#define CBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Uses `pointer` in a way that the compiler cannot see through: neither the allocation that gave it nor what was written
/// there can be removed or moved across. No instruction.
static inline __attribute__((always_inline)) void bench_keep(const void *_Nullable pointer) {
  __asm__ volatile("" : : "r"(pointer) : "memory");
}

/// Nanoseconds of a clock that never goes back.
uint64_t bench_nanoseconds(void);

/// Nanoseconds that the calling thread has run for: other programs on the same CPU do not count.
uint64_t bench_thread_nanoseconds(void);

/// Keeps the calling thread on the `index`-th of the CPUs that it may use, counted from the last. False where refused.
bool bench_pin(int index);

/// How many CPUs this process may use.
int bench_cpus(void);

/// The file of the library that this process takes `malloc` from.
const char *_Nonnull bench_malloc_library(void);

/// Ends the program with a line on standard error that begins with its name.
_Noreturn void bench_fail(int status, const char *_Nonnull message);

/// Puts `value` into `slot` and returns what was there.
static inline __attribute__((always_inline)) uint64_t bench_swap(uint64_t *_Nonnull slot, uint64_t value) {
  // Release and acquire: what was written to an object is there for whoever takes it out.
  return __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
}

/// `bytes` of zeros straight from the kernel, each page there already; the program ends where there is no memory.
void *_Nonnull bench_map(size_t bytes);
void bench_unmap(void *_Nonnull memory, size_t bytes);

/// Asks the allocator behind `malloc` to give back what it can, in its own way.
void bench_malloc_trim(void);

/// A bounded queue of pointers between one producer and one consumer. Each side publishes its position once per
/// `BENCH_RING_BATCH` pointers, so that what is measured is the allocator and not the queue.
#define BENCH_RING_SLOTS 1024
#define BENCH_RING_BATCH 64

/// Swift has no type of such an alignment, and sees an untyped pointer.
struct bench_ring {
  struct __attribute__((aligned(128))) { uint64_t position; } produced, consumed;
  void *_Nullable slots[BENCH_RING_SLOTS] __attribute__((aligned(128)));
};

/// An empty ring; the program ends where there is no memory.
void *_Nonnull bench_ring_create(void);
void bench_ring_destroy(void *_Nonnull ring);

void bench_ring_wait(const uint64_t *_Nonnull position, uint64_t at_least);

/// The lines of one batch of slots, all asked for at once: the pointers cross between the CPUs at the cost of one miss per
/// batch and not of one per line.
static inline __attribute__((always_inline)) void bench_ring_prefetch(
    struct bench_ring *_Nonnull ring, uint64_t position, bool write) {
  for (int slot = 0; slot < BENCH_RING_BATCH; slot += 8) {
    const void *line = &ring->slots[(position + (uint64_t)slot) % BENCH_RING_SLOTS];
    if (write) __builtin_prefetch(line, 1);
    else __builtin_prefetch(line, 0);
  }
}

/// Puts the `position`-th pointer, counted from 0. Waits where the ring is full.
static inline __attribute__((always_inline)) void bench_ring_put(
    void *_Nonnull to, uint64_t position, void *_Nonnull pointer) {
  struct bench_ring *ring = (struct bench_ring *)to;
  if (position % BENCH_RING_BATCH == 0) {
    // Releases the slots before `position` to the consumer's wait.
    __atomic_store_n(&ring->produced.position, position, __ATOMIC_RELEASE);
    if (position >= BENCH_RING_SLOTS)
      bench_ring_wait(&ring->consumed.position, position - BENCH_RING_SLOTS + BENCH_RING_BATCH);
    bench_ring_prefetch(ring, position, true);
  }
  ring->slots[position % BENCH_RING_SLOTS] = pointer;
}

/// Ends what is put: all pointers up to `position` are there.
static inline void bench_ring_close(void *_Nonnull ring, uint64_t position) {
  __atomic_store_n(&((struct bench_ring *)ring)->produced.position, position, __ATOMIC_RELEASE);
}

/// Takes the `position`-th pointer. Waits where it is not there.
static inline __attribute__((always_inline)) void *_Nonnull bench_ring_take(
    void *_Nonnull from, uint64_t position) {
  struct bench_ring *ring = (struct bench_ring *)from;
  if (position % BENCH_RING_BATCH == 0) {
    // Releases the slots before `position` to the producer's wait.
    __atomic_store_n(&ring->consumed.position, position, __ATOMIC_RELEASE);
    bench_ring_wait(&ring->produced.position, position + BENCH_RING_BATCH);
    bench_ring_prefetch(ring, position, false);
  }
  return ring->slots[position % BENCH_RING_SLOTS];
}

/// Starts `count` threads on stacks of their own, runs `body(context)` on each, and returns when each has returned from it;
/// the threads stay alive until `bench_threads_end`. False where a thread could not be started.
bool bench_threads_run(int count, void (*_Nonnull body)(void *_Nullable), void *_Nullable context);
void bench_threads_end(void);

/// Bytes of memory that this process has, shared ones too.
int64_t bench_resident_bytes(void);

/// Bytes of private memory of this process (anonymous, or written to), without the stacks of `bench_threads_run`.
int64_t bench_private_bytes(void);

/// Two functions that do nothing but be called: what no allocator behind calls can be faster than.
void *_Nullable bench_empty_allocate(size_t size);
void bench_empty_free(void *_Nonnull block, size_t size);

#endif
