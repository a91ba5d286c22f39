// Allocators that are broken on purpose, to see that the proofs find it.

#define _GNU_SOURCE
#include <sched.h>

#include "CProof.h"

enum { CPUS = 1024, ROOM = 64, BYTES = 256 };

static struct { _Alignas(128) volatile uint64_t top; void *volatile blocks[ROOM]; } stacks[CPUS];
static cp_allocator inner;

static void *pop(void *context, size_t size) {
  if (size > BYTES) return inner.allocate(inner.context, size);
  const int cpu = sched_getcpu() & (CPUS - 1);
  const uint64_t top = stacks[cpu].top;
  if (top == 0) return inner.allocate(inner.context, BYTES);
  void *block = stacks[cpu].blocks[top - 1];
  stacks[cpu].top = top - 1;
  return block;
}

static void push(void *context, void *block, size_t size) {
  if (size > BYTES) return inner.release(inner.context, block, size);
  const int cpu = sched_getcpu() & (CPUS - 1);
  const uint64_t top = stacks[cpu].top;
  if (top == ROOM) return inner.release(inner.context, block, BYTES);
  stacks[cpu].blocks[top] = block;
  stacks[cpu].top = top + 1;
}

cp_allocator cp_plain_stacks(const cp_allocator *under) {
  inner = *under;
  return (cp_allocator){.allocate = pop, .release = push};
}

static uint32_t lock;

static void *locked_allocate(void *context, size_t size) {
  cp_spin_lock(&lock);
  void *block = inner.allocate(inner.context, size);
  cp_spin_unlock(&lock);
  return block;
}

static void locked_release(void *context, void *block, size_t size) {
  cp_spin_lock(&lock);
  inner.release(inner.context, block, size);
  cp_spin_unlock(&lock);
}

cp_allocator cp_spin_locked(const cp_allocator *under) {
  inner = *under;
  return (cp_allocator){.allocate = locked_allocate, .release = locked_release};
}
