// malloc before anything else: before this program's constructors, and in them; and in the last moments of the process.
#include <malloc.h>
#include <string.h>
#include "check.h"

static char *from_first;

// Runs before the constructors of every library.
static void first(void) {
  from_first = malloc(100);
  CHECK(from_first);
  strcpy(from_first, "first");
  for (int i = 0; i < 10000; i++) free(OPAQUE(malloc((size_t)i)));
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = first;

__attribute__((constructor(101))) static void constructor(void) {
  CHECK(!strcmp(from_first, "first"));
  from_first = realloc(from_first, 100000);
  CHECK(from_first);
}

__attribute__((destructor(101))) static void destructor(void) {
  free(from_first);
  for (int i = 0; i < 10000; i++) free(OPAQUE(malloc((size_t)i)));
  puts("early: ok");
  fflush(stdout);
}

int main(void) { CHECK(!strcmp(from_first, "first")); }
