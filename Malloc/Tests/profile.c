// What a heap profile must show: blocks from each of three functions, of which some are freed. Built at fixed addresses and without
// frame pointers. With an argument: a thread's million blocks of 100 bytes, of which half are freed, for the estimate of a sample.
#include <pthread.h>
#include <string.h>
#include "check.h"

static void *kept[1000];

#define FROM(name) __attribute__((noinline)) static void *name(size_t size) { return OPAQUE(malloc(size)); }
FROM(from_kept)
FROM(from_freed)
__attribute__((noinline)) static void *from_resized(void *block, size_t size) { return OPAQUE(realloc(block, size)); }

__attribute__((noinline)) static void fill(void) {
  for (int i = 0; i < 100; i++) kept[i] = from_kept(1000);
  for (int i = 0; i < 40; i++) free(OPAQUE(kept[i]));
  for (int i = 0; i < 70; i++) free(from_freed(50000));
  for (int i = 100; i < 130; i++) kept[i] = from_resized(from_resized(NULL, 200), 7000);
}

static void *sampled(void *unused) {
  for (int i = 0; i < 1000000; i++) {
    void *block = from_kept(100);
    if (i % 2) free(block);
  }
  return unused;
}

int main(int count, char **words) {
  if (count > 1) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, sampled, NULL));
    pthread_join(thread, NULL);
  } else {
    fill();
  }
  puts("profile: ok");
}
