#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CProof.h"

pid_t cp_fork(void) { return fork(); }
void cp_exit(int status) { _exit(status); }

void cp_end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

static cp_end reap(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status)) return (cp_end){CP_KILLED, WTERMSIG(status)};
  if (WIFEXITED(status)) return (cp_end){CP_EXITED, WEXITSTATUS(status)};
  return (cp_end){CP_RUNNING, 0};
}

cp_end cp_wait(pid_t child, int milliseconds) {
  const int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
  struct pollfd ended = {descriptor, POLLIN, 0};
  int ready;
  const uint64_t until = cp_nanoseconds() + (uint64_t)milliseconds * 1000000;
  do {
    const int64_t left = (int64_t)(until - cp_nanoseconds()) / 1000000;
    ready = poll(&ended, 1, left > 0 ? (int)left : 0);
  } while (ready < 0 && errno == EINTR);
  close(descriptor);
  return ready > 0 ? reap(child) : (cp_end){CP_RUNNING, 0};
}

cp_end cp_kill(pid_t child) {
  kill(child, SIGKILL);
  cp_end end;
  do { end = reap(child); } while (end.how == CP_RUNNING);
  return end;
}

pid_t cp_spawn(const char *path, char *const *arguments, char *const *environment, int output, bool quiet) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  if (quiet) posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  if (posix_spawn(&child, path, &actions, NULL, arguments, environment) != 0) child = -1;
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

void *cp_map_shared(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0); }

void cp_set(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
  wake(word);
}

uint32_t cp_add(uint32_t *word, uint32_t value) {
  const uint32_t after = __atomic_add_fetch(word, value, __ATOMIC_ACQ_REL);
  wake(word);
  return after;
}

bool cp_await(uint32_t *word, uint32_t value, int milliseconds) {
  const uint64_t until = cp_nanoseconds() + (uint64_t)milliseconds * 1000000;
  uint32_t found;
  while ((found = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < value) {
    const int64_t left = (int64_t)(until - cp_nanoseconds());
    if (left <= 0) return false;
    const struct timespec limit = {left / 1000000000, left % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT, found, &limit, NULL, 0);
  }
  return true;
}

uint32_t cp_read(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

uint64_t cp_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static cpu_set_t allowed;
__attribute__((constructor)) static void read_allowed(void) { sched_getaffinity(0, sizeof allowed, &allowed); }

int cp_cpus(void) { return CPU_COUNT(&allowed); }

void cp_pin(pid_t thread, int index) {
  cpu_set_t chosen = allowed;
  if (index >= 0) {
    int wanted = index % CPU_COUNT(&allowed);
    CPU_ZERO(&chosen);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &allowed) && wanted-- == 0) CPU_SET(cpu, &chosen);
  }
  sched_setaffinity(thread, sizeof chosen, &chosen);
}

__attribute__((noinline)) void cp_mark_begin(void) { __asm__ volatile("nop" ::: "memory"); }
__attribute__((noinline)) void cp_mark_end(void) { __asm__ volatile("nop; nop" ::: "memory"); }

static void *libc_allocate(void *context, size_t size) { return malloc(size); }
static void libc_release(void *context, void *block, size_t size) { free(block); }
const cp_allocator cp_libc = {.allocate = libc_allocate, .release = libc_release};

const char *cp_malloc_library(void) {
  Dl_info info;
  void *symbol = dlsym(RTLD_DEFAULT, "malloc");
  return symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "?";
}
