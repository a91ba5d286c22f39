// What runs before the first call of malloc, and at the end.
//
// The dynamic linker switches to a program's malloc when every object is relocated, before any constructor has run; other
// objects' constructors may come before ours. So the sections' rseq area is named while this object itself is relocated:
// the resolver of an indirect function runs then, after the object's other relocations.

#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cmalloc.h"

void ka_rseq_begin(void);
void km_begin(void);
void km_at_exit(void);

static void km_nothing(void) {}

__attribute__((no_stack_protector)) static void (*km_resolve(void))(void) {
  ka_rseq_begin();
  return km_nothing;
}

KM_HIDDEN void km_relocated(void) __attribute__((ifunc("km_resolve")));

// A word that holds the function's address makes the linker ask for it eagerly.
__attribute__((used, retain)) static void (*const km_relocation)(void) = km_relocated;

// Behind the C library's own: what may itself allocate, or start a thread.
__attribute__((constructor)) static void km_constructor(void) { km_begin(); }

__attribute__((destructor)) static void km_destructor(void) { km_at_exit(); }

/// Room for the longest string that the kernel passes on, twice.
enum { environment_bytes = 256 << 10 };

const char *km_environment(const char *name) {
  // A program with more rights than its caller does not do what its caller's environment says.
  if (getauxval(AT_SECURE)) return NULL;
  if (environ) return getenv(name);
  // The C library's own constructor has not run: the kernel has the environment too. What is found stays where it is.
  char *const text = km_map(environment_bytes);
  if (!text) return NULL;
  const int saved = errno;
  const char *found = NULL;
  const size_t length = strlen(name);
  const int file = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  size_t kept = 0;
  while (file >= 0 && !found) {
    const ssize_t count = read(file, text + kept, environment_bytes - 1 - kept);
    if (count <= 0) break;
    const size_t end = kept + (size_t)count;
    text[end] = 0;
    size_t start = 0;
    for (size_t next; start < end && (next = start + strlen(text + start)) < end; start = next + 1) {
      if (strncmp(text + start, name, length) == 0 && text[start + length] == '=') {
        found = text + start + length + 1;
        break;
      }
    }
    // What has no end yet.
    if (!found) memmove(text, text + start, kept = end - start);
  }
  if (file >= 0) close(file);
  if (!found) km_unmap(text, environment_bytes);
  errno = saved;
  return found;
}
