// The C library's allocator, and two ways to write zeros. Where there is no C library every request is refused.

#ifndef KA_SYSTEM_H
#define KA_SYSTEM_H

#include "ka_types.h"

/// `size` bytes at a multiple of `alignment` (a power of two), zeroed where `zero`. NULL where refused.
void *_Nullable ka_system_allocate(size_t size, size_t alignment, bool zero);

/// Resizes a block of `ka_system_allocate` whose alignment was at most 16. NULL where refused: the old block stands.
void *_Nullable ka_system_reallocate(void *_Nonnull block, size_t size);

/// Gives a block of `ka_system_allocate` or `ka_system_reallocate` back.
void ka_system_free(void *_Nonnull block);

/// Writes `bytes` zeros.
static inline void ka_zero(void *_Nonnull address, size_t bytes) { __builtin_memset(address, 0, bytes); }

/// Writes `bytes` zeros that stay written: the compiler must assume that somebody reads them.
static inline void ka_zero_for_certain(void *_Nonnull address, size_t bytes) {
  __builtin_memset(address, 0, bytes);
  __asm__ volatile("" : : "r"(address) : "memory");
}

#endif
