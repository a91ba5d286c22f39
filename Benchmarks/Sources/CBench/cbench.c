#define _GNU_SOURCE
#include "CBench.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t bench_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }

uint64_t bench_thread_nanoseconds(void) { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

// The CPUs that this process could use before it pinned any thread.
static cpu_set_t allowed;
__attribute__((constructor)) static void read_allowed(void) { sched_getaffinity(0, sizeof allowed, &allowed); }

int bench_cpus(void) { return CPU_COUNT(&allowed); }

bool bench_pin(int index) {
  index %= bench_cpus();
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
  }
  return false;
}

const char *bench_malloc_library(void) {
  Dl_info info;
  void *symbol = dlsym(RTLD_DEFAULT, "malloc");
  return symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "?";
}

void bench_fail(int status, const char *message) {
  dprintf(STDERR_FILENO, "%s: %s\n", program_invocation_short_name, message);
  exit(status);
}

void *bench_map(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) bench_fail(1, "no memory for a table");
  return memory;
}

void bench_unmap(void *memory, size_t bytes) { munmap(memory, bytes); }

// Each allocator has a function of its own for it. `malloc_trim` is the C library's, unless libkalloc.so was loaded before.
void bench_malloc_trim(void) {
  int (*mallctl)(const char *, void *, size_t *, void *, size_t) = dlsym(RTLD_DEFAULT, "mallctl");
  void (*collect)(bool) = dlsym(RTLD_DEFAULT, "mi_collect");
  void (*release)(void) = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
  int (*trim)(size_t) = dlsym(RTLD_DEFAULT, "malloc_trim");
  if (mallctl) {
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("arena.4096.purge", NULL, NULL, NULL, 0);  // 4096 is jemalloc's number for all arenas.
  } else if (collect) {
    collect(true);
  } else if (release) {
    release();
  } else if (trim) {
    trim(0);
  }
}

void *bench_ring_create(void) {
  void *ring = aligned_alloc(128, sizeof(struct bench_ring));
  if (!ring) bench_fail(1, "no memory for a ring");
  return memset(ring, 0, sizeof(struct bench_ring));
}

void bench_ring_destroy(void *ring) { free(ring); }

void bench_ring_wait(const uint64_t *position, uint64_t at_least) {
  for (int spins = 0; __atomic_load_n(position, __ATOMIC_ACQUIRE) < at_least; spins++) {
    if (spins >= 4096) {
      sched_yield();
      continue;
    }
#if defined(__x86_64__)
    __asm__ volatile("pause");
#else
    __asm__ volatile("yield");
#endif
  }
}

// Threads.

#define STACK_BYTES (64 << 10)
#define MAX_THREADS 4096

static char *stacks;
static size_t stacks_bytes;
static pthread_t threads[MAX_THREADS];
static int thread_count;
static void (*thread_body)(void *);
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done;
static bool ending;

static void *run_thread(void *context) {
  thread_body(context);
  pthread_mutex_lock(&mutex);
  done++;
  pthread_cond_broadcast(&changed);
  while (!ending) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

bool bench_threads_run(int count, void (*body)(void *), void *context) {
  if (count < 1 || count > MAX_THREADS) return false;
  thread_body = body;
  stacks_bytes = (size_t)count * STACK_BYTES;
  stacks = mmap(NULL, stacks_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED) return false;
  // Of another protection, so that the kernel does not join the stacks with a neighbouring mapping.
  if (mprotect(stacks, stacks_bytes, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return false;
  for (int i = 0; i < count; i++) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stacks + (size_t)i * STACK_BYTES, STACK_BYTES);
    int refused = pthread_create(&threads[i], &attributes, run_thread, context);
    pthread_attr_destroy(&attributes);
    if (refused) return false;
    thread_count = i + 1;
  }
  pthread_mutex_lock(&mutex);
  while (done < count) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  return true;
}

void bench_threads_end(void) {
  pthread_mutex_lock(&mutex);
  ending = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
}

// The memory map.

static struct {
  uintptr_t start, end;
  int64_t bytes;
} map;

static void map_line(const char *line) {
  unsigned long start, end, kibibytes;
  if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
    map.start = start;
    map.end = end;
  } else if (sscanf(line, "Anonymous: %lu kB", &kibibytes) == 1 || sscanf(line, "Swap: %lu kB", &kibibytes) == 1) {
    bool of_stacks = map.start < (uintptr_t)stacks + stacks_bytes && map.end > (uintptr_t)stacks;
    if (!of_stacks) map.bytes += (int64_t)kibibytes << 10;
  }
}

int64_t bench_resident_bytes(void) {
  char text[128] = {0};
  long pages = 0;
  int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  if (read(file, text, sizeof text - 1) < 0 || sscanf(text, "%*d %ld", &pages) != 1) pages = -1;
  close(file);
  return pages * sysconf(_SC_PAGESIZE);
}

int64_t bench_private_bytes(void) {
  static char buffer[16384];
  static char line[512];
  size_t length = 0;
  map.bytes = 0;
  int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  for (ssize_t got; (got = read(file, buffer, sizeof buffer)) > 0;) {
    for (ssize_t i = 0; i < got; i++) {
      if (buffer[i] == '\n') {
        line[length] = 0;
        map_line(line);
        length = 0;
      } else if (length < sizeof line - 1) {
        line[length++] = buffer[i];
      }
    }
  }
  close(file);
  return map.bytes;
}

static char nothing[64];
void *bench_empty_allocate(size_t size) {
  __asm__ volatile("" : : "r"(size));
  return nothing;
}
void bench_empty_free(void *block, size_t size) { __asm__ volatile("" : : "r"(block), "r"(size)); }
