#define _GNU_SOURCE
#include "cstress.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void *cs_map(size_t bytes) {
  void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return address == MAP_FAILED ? NULL : address;
}

void cs_unmap(void *address, size_t bytes) { munmap(address, bytes); }

static cpu_set_t allowed;
static pthread_once_t allowed_once = PTHREAD_ONCE_INIT;

static void read_allowed(void) {
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_SET(0, &allowed);
}

int cs_cpu_count(void) {
  pthread_once(&allowed_once, read_allowed);
  return CPU_COUNT(&allowed);
}

bool cs_pin(int index) {
  cpu_set_t chosen = allowed;
  int wanted = index % cs_cpu_count();
  if (index >= 0) {
    CPU_ZERO(&chosen);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &allowed) && wanted-- == 0) CPU_SET(cpu, &chosen);
  }
  return pthread_setaffinity_np(pthread_self(), sizeof chosen, &chosen) == 0;
}

int cs_cpu(void) {
  int cpu = sched_getcpu();
  return cpu < 0 ? 0 : cpu;
}

uint32_t cs_turn(void) {
  static _Thread_local uint32_t turns;
  return ++turns;
}

uint64_t cs_cpu_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static char message[2048];
static size_t message_bytes;

void cs_crash_message(const char *text) {
  size_t bytes = strnlen(text, sizeof message);
  __atomic_store_n(&message_bytes, 0, __ATOMIC_RELEASE);
  memcpy(message, text, bytes);
  __atomic_store_n(&message_bytes, bytes, __ATOMIC_RELEASE);
}

static struct sigaction earlier[NSIG];

static void crashed(int signal_number) {
  // What was there before (Swift's backtraces, or the default) comes back: returning runs into the same fault again.
  sigaction(signal_number, &earlier[signal_number], NULL);
  size_t bytes = __atomic_exchange_n(&message_bytes, 0, __ATOMIC_ACQUIRE);
  if (write(STDERR_FILENO, message, bytes) < 0) return;
  if (signal_number == SIGABRT || signal_number == SIGTRAP) raise(signal_number);
}

void cs_crash_install(void) {
  static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT };
  struct sigaction action = { .sa_handler = crashed, .sa_flags = SA_NODEFER };
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) 
    sigaction(signals[i], &action, &earlier[signals[i]]);
}

static uint64_t status_kilobytes(const char *key) {
  char text[4096];
  int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  ssize_t count = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  if (count <= 0) return 0;
  text[count] = 0;
  const char *line = strstr(text, key);
  return line == NULL ? 0 : strtoull(line + strlen(key), NULL, 10) * 1024;
}

uint64_t cs_resident_bytes(void) { return status_kilobytes("VmRSS:"); }
uint64_t cs_peak_resident_bytes(void) { return status_kilobytes("VmHWM:"); }

void cs_end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
