#define _GNU_SOURCE

#include "CTestSupport.h"

#if defined(__linux__)

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CT_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define CT_ASAN 1
#endif
#endif

bool ct_thread_sanitizer(void) {
#if defined(CT_TSAN)
  return true;
#else
  return false;
#endif
}

bool ct_sanitizer(void) {
#if defined(CT_TSAN) || defined(CT_ASAN)
  return true;
#else
  return false;
#endif
}

#if defined(CT_ASAN)
int __lsan_do_recoverable_leak_check(void);
bool ct_address_sanitizer(void) { return true; }
bool ct_finds_leaks(void) { return __lsan_do_recoverable_leak_check() != 0; }
#else
bool ct_address_sanitizer(void) { return false; }
bool ct_finds_leaks(void) { return false; }
#endif

// Affinity

static cpu_set_t allowed;
static pthread_once_t allowed_once = PTHREAD_ONCE_INIT;
static void read_allowed(void) {
  CPU_ZERO(&allowed);
  // Of the process's first thread: the calling one may be bound.
  sched_getaffinity(getpid(), sizeof allowed, &allowed);
}

int ct_cpu_count(void) {
  pthread_once(&allowed_once, read_allowed);
  return CPU_COUNT(&allowed);
}

int ct_pin(int index) {
  int left = index % ct_cpu_count();
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 ? cpu : -1;
  }
  return -1;
}

void ct_unpin(void) {
  pthread_once(&allowed_once, read_allowed);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

// Fork

int ct_fork(int (*body)(void *), void *argument, unsigned seconds) {
  int process = fork();
  if (process == 0) {
    signal(SIGALRM, SIG_DFL);
    ct_accept_signals();
    alarm(seconds);
    _exit(body(argument));
  }
  return process;
}

int ct_wait(int process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// Signals

void ct_accept_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  sigaddset(&signals, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

// Parking

static int parking[2] = {-1, -1};
static uint64_t parked;

static void park_here(int number) {
  (void)number;
  const int saved = errno;
  char byte;
  __atomic_fetch_add(&parked, 1, __ATOMIC_SEQ_CST);
  while (read(parking[0], &byte, 1) < 0 && errno == EINTR) {}
  errno = saved;
}

static void prepare_parking(void) {
  if (pipe(parking) != 0) abort();
  struct sigaction action = {.sa_handler = park_here, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, NULL);
}

static pthread_once_t parking_once = PTHREAD_ONCE_INIT;

bool ct_park(pthread_t thread, unsigned milliseconds) {
  pthread_once(&parking_once, prepare_parking);
  const uint64_t before = __atomic_load_n(&parked, __ATOMIC_SEQ_CST);
  if (pthread_kill(thread, SIGUSR1) != 0) return false;
  for (unsigned i = 0; i < milliseconds * 10; i++) {
    if (__atomic_load_n(&parked, __ATOMIC_SEQ_CST) != before) return true;
    struct timespec pause = {0, 100000};
    nanosleep(&pause, NULL);
  }
  return false;
}

void ct_resume(void) {
  if (write(parking[1], "", 1) != 1) abort();
}

void ct_parking_place(void) {
#if defined(CT_TSAN)
  usleep(1);
#endif
}

// Storms

typedef struct {
  timer_t timer;
  void (*body)(void *);
  void *context;
  unsigned microseconds;
  uint64_t random;
} storm_state;

static _Thread_local storm_state *volatile current_storm;

// Once, and again when the handler ends: however slow the handler is, the thread goes on in between. The delay is a random
// one, 0.5 to 1.5 times what was asked for, so that it does not keep step with what the thread does.
static bool arm(storm_state *storm) {
  storm->random = storm->random * 6364136223846793005u + 1442695040888963407u;
  const long base = (long)storm->microseconds * 500;
  const long delay = base + (long)((storm->random >> 33) % (uint64_t)(2 * base));
  const struct itimerspec setting = {{0, 0}, {0, delay}};
  return timer_settime(storm->timer, 0, &setting, NULL) == 0;
}

static void storm_here(int number) {
  (void)number;
  const int saved = errno;
  storm_state *storm = current_storm;
  if (storm) {
    storm->body(storm->context);
    arm(storm);
  }
  errno = saved;
}

static void prepare_storms(void) {
  struct sigaction action = {.sa_handler = storm_here, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR2, &action, NULL);
}

static pthread_once_t storms_once = PTHREAD_ONCE_INIT;

void *ct_storm_begin(unsigned microseconds, void (*body)(void *), void *context) {
  pthread_once(&storms_once, prepare_storms);
  storm_state *storm = malloc(sizeof *storm);
  if (!storm) return NULL;
  const unsigned shortest = 10;
  *storm = (storm_state){NULL, body, context, microseconds > shortest ? microseconds : shortest, (uint64_t)(uintptr_t)storm};
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
  event._sigev_un._tid = (int)syscall(SYS_gettid);
  if (timer_create(CLOCK_MONOTONIC, &event, &storm->timer) != 0) {
    free(storm);
    return NULL;
  }
  current_storm = storm;
  if (!arm(storm)) {
    ct_storm_end(storm);
    return NULL;
  }
  return storm;
}

void ct_storm_end(void *ended) {
  storm_state *storm = ended;
  current_storm = NULL;
  timer_delete(storm->timer);
  free(storm);
}

// Memory

size_t ct_resident_bytes(void *start, size_t bytes) {
  const size_t pages = bytes / 4096;
  unsigned char *present = malloc(pages);
  size_t count = 0;
  if (present && mincore(start, bytes, present) == 0) {
    for (size_t i = 0; i < pages; i++) count += present[i] & 1;
  }
  free(present);
  return count * 4096;
}

bool ct_refuse_membarrier(void) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool ct_limit_address_space(size_t bytes) {
  struct rlimit limit = {bytes, bytes};
  return setrlimit(RLIMIT_AS, &limit) == 0;
}

#endif
