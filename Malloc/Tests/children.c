// Children of every kind, while threads of the parent allocate: fork, vfork, posix_spawn, clone. One test for each argument.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include "churn.h"

extern char **environ;

static void forks(void) {
  pthread_t threads[4];
  for (uintptr_t round = 0; round < 60; round++) {
    for (uintptr_t i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, churner, (void *)(round * 4 + i)));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      churn(9, 3000);
      pthread_t thread;
      CHECK(!pthread_create(&thread, NULL, churner, (void *)5));
      pthread_join(thread, NULL);
      _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    char *words[] = {"/bin/true", NULL};
    pid_t spawned;
    CHECK(!posix_spawn(&spawned, words[0], NULL, NULL, words, environ));
    CHECK(waitpid(spawned, &status, 0) == spawned && status == 0);
    const pid_t shared = vfork();
    if (shared == 0) execv(words[0], words), _exit(1);
    CHECK(waitpid(shared, &status, 0) == shared && status == 0);
  }
}

// A child that the C library does not know of.
static int cloned(void *unused) {
  (void)unused;
  churn(19, 3000);
  _exit(0);
}
static char stack[256 << 10] __attribute__((aligned(16)));
static void clones(void) {
  pthread_t threads[4];
  for (uintptr_t round = 0; round < 60; round++) {
    for (uintptr_t i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, churner, (void *)(round * 4 + i)));
    int status = -1;
    const pid_t child = clone(cloned, stack + sizeof stack, SIGCHLD, NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  }
}

// Threads fork children that fork, and make threads, while others allocate.
static atomic_bool enough;
static void *until_enough(void *seed) {
  while (!enough) churner(seed);
  return NULL;
}
static void reap(pid_t child) {
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}
static void *forker(void *seed) {
  for (int i = 0; i < 20; i++) {
    const pid_t child = fork();
    if (child == 0) {
      churn((unsigned)i, 500);
      const pid_t grandchild = i % 5 ? 0 : fork();
      if (i % 5 == 0 && grandchild == 0) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, churner, seed));
        pthread_join(thread, NULL);
        _exit(0);
      }
      if (grandchild) reap(grandchild);
      _exit(0);
    }
    reap(child);
  }
  return NULL;
}
static void storm(void) {
  pthread_t threads[4], forkers[8];
  for (uintptr_t i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, until_enough, (void *)i));
  for (uintptr_t i = 0; i < 8; i++) CHECK(!pthread_create(&forkers[i], NULL, forker, (void *)i));
  for (int i = 0; i < 8; i++) pthread_join(forkers[i], NULL);
  enough = true;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

// Children that share the parent's memory and its thread's storage, and allocate. The parent stands still meanwhile; others of its
// threads do not, unless their caches are bound to CPUs, where this is not allowed (README).
static void borrow(int threads) {
  pthread_t others[4];
  for (int i = 0; i < threads; i++) CHECK(!pthread_create(&others[i], NULL, until_enough, (void *)(uintptr_t)i));
  for (int round = 0; round < 100; round++) {
    const pid_t child = vfork();
    if (child == 0) churn((unsigned)round, 2000), _exit(0);
    reap(child);
    churn(5, 500);
    reap(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
  }
  enough = true;
  for (int i = 0; i < threads; i++) pthread_join(others[i], NULL);
}
static void borrows(void) { borrow(0); }
static void borrows_beside_threads(void) { borrow(4); }

int main(int count, char **words) {
  static const struct named_test tests[] = {
      {"forks", forks}, {"clones", clones}, {"storm", storm}, {"borrows", borrows}, {"borrows-beside-threads", borrows_beside_threads}};
  run_named(count, words, tests, sizeof tests / sizeof *tests);
}
