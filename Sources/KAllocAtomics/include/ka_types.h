// Fixed-width integers without the C library: a bare-metal target has none, and its clang may find the host's.

#ifndef KA_TYPES_H
#define KA_TYPES_H

#if defined(__linux__)
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#else
#include <stdbool.h>
#include <stddef.h>
typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef __UINTPTR_TYPE__ uintptr_t;
#endif

#endif
