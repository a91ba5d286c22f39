// A test in C: CHECK says what did not hold and ends the program.
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
  ((condition) ? (void)0                                                                                     \
               : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

// A program of several tests runs the one that its only argument names.
struct named_test { const char *name; void (*test)(void); };
static inline void run_named(int count, char **words, const struct named_test *tests, size_t tests_count) {
  CHECK(count == 2);
  for (size_t i = 0; i < tests_count; i++)
    if (!strcmp(words[1], tests[i].name)) {
      tests[i].test();
      printf("%s: ok\n", words[1]);
      return;
    }
  CHECK(!"a test of that name");
}

// What the compiler must not see through.
#ifdef __cplusplus
#define KM_AUTO auto
#else
#define KM_AUTO __auto_type
#endif
#define OPAQUE(value) ({ KM_AUTO opaque = (value); __asm__ volatile("" : "+r"(opaque) : : "memory"); opaque; })
#endif
