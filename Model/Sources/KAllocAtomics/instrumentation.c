// The compiler instruments Slab as for ThreadSanitizer, so that every plain access to memory calls a function here. What
// lies outside the arena (stacks, constants) is nobody else's; of the rest, reads of pages that no simulated thread ever
// wrote to plainly are not reported.

#include <string.h>

#include "km_machine.h"

#define REPORTED __attribute__((used))

static inline bool in_arena(uint64_t address) { return address - KM_ARENA_BASE < 1ull << KM_ARENA_SHIFT; }

static inline void access(const void *address, uint64_t size, bool is_write) {
  const uint64_t start = (uint64_t)(uintptr_t)address;
  if (km_mode == KM_IMMEDIATE || !in_arena(start)) return;
  if (is_write || *km_written_page(start)) km_plain(address, size, is_write);
}

#define ACCESS(N) \
  REPORTED void __tsan_read##N(void *a) { access(a, N, false); } \
  REPORTED void __tsan_write##N(void *a) { access(a, N, true); } \
  REPORTED void __tsan_unaligned_read##N(void *a) { access(a, N, false); } \
  REPORTED void __tsan_unaligned_write##N(void *a) { access(a, N, true); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

REPORTED void __tsan_read_range(void *a, uint64_t size) { access(a, size, false); }
REPORTED void __tsan_write_range(void *a, uint64_t size) { access(a, size, true); }

REPORTED void *__tsan_memcpy(void *to, const void *from, uint64_t size) {
  access(from, size, false);
  access(to, size, true);
  return memcpy(to, from, size);
}
REPORTED void *__tsan_memmove(void *to, const void *from, uint64_t size) {
  access(from, size, false);
  access(to, size, true);
  return memmove(to, from, size);
}
REPORTED void *__tsan_memset(void *to, int value, uint64_t size) {
  access(to, size, true);
  return memset(to, value, size);
}

REPORTED void __tsan_init(void) {}
REPORTED void __tsan_func_entry(void *caller) {}
REPORTED void __tsan_func_exit(void) {}
// Accesses through Swift's own annotations are accompanied by plain ones.
REPORTED void __tsan_external_read(void *a, void *caller, void *tag) {}
REPORTED void __tsan_external_write(void *a, void *caller, void *tag) {}
REPORTED void __tsan_vptr_read(void **a) {}
REPORTED void __tsan_vptr_update(void **a, void *value) {}
// The compiler's own caches.
REPORTED int64_t __tsan_atomic64_load(const volatile int64_t *a, int order) { return *a; }
REPORTED void __tsan_atomic64_store(volatile int64_t *a, int64_t value, int order) { *a = value; }
