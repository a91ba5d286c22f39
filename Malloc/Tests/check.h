// A test in C: CHECK says what did not hold and ends the program.
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
  ((condition) ? (void)0                                                                                     \
               : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), _exit(1)))
// What the compiler must not see through.
#ifdef __cplusplus
#define KM_AUTO auto
#else
#define KM_AUTO __auto_type
#endif
#define OPAQUE(value) ({ KM_AUTO opaque = (value); __asm__ volatile("" : "+r"(opaque) : : "memory"); opaque; })
#endif
