// What comes over the threads of a workload, each from the outside:
//
//   barriers     membarrier(PRIVATE_EXPEDITED_RSEQ): the kernel aborts every restartable sequence that runs at that moment
//   timers       one per thread, whose signal aborts the sequence that it interrupts, and whose handler may use the allocator
//   migrations   sched_setaffinity, one CPU after the other: the sequence goes on elsewhere, or is aborted

#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "CProof.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { MAX_THREADS = 64 };

static pid_t threads[MAX_THREADS];
static timer_t timers[2 * MAX_THREADS];
static int timer_count;
static int thread_count;
static unsigned running;
static pthread_t barriers, migrations;
static uint64_t barrier_count, migration_count;
static uint32_t ending;
static void (*on_tick)(int thread);
/// By thread, far apart: the handlers of different threads share no line.
static struct { _Alignas(128) uint64_t count; } ticks[MAX_THREADS];

void cp_on_tick(void (*handler)(int thread)) { on_tick = handler; }

static void tick(int number, siginfo_t *info, void *context) {
  const int thread = info->si_value.sival_int;
  ticks[thread].count++;
  if (on_tick) on_tick(thread);
}

static bool over(void) { return __atomic_load_n(&ending, __ATOMIC_ACQUIRE) != 0; }

static void *run_barriers(void *unused) {
  while (!over())
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0) barrier_count++;
  return NULL;
}

static void *run_migrations(void *unused) {
  for (int round = 0; !over(); round++) {
    for (int i = 0; i < thread_count; i++) cp_pin(threads[i], round + i);
    migration_count += (uint64_t)thread_count;
    sched_yield();
  }
  for (int i = 0; i < thread_count; i++) cp_pin(threads[i], -1);
  return NULL;
}

static void start_timer(int thread, long interval) {
  timer_t *timer = &timers[timer_count];
  struct sigevent event = {0};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN;
  event.sigev_value.sival_int = thread;
  event.sigev_notify_thread_id = threads[thread];
  if (timer_create(CLOCK_MONOTONIC, &event, timer) != 0) return;
  timer_count++;
  // Each a little different, so that the ticks wander over the program.
  const struct timespec period = {0, interval + thread * 331};
  const struct itimerspec setting = {period, period};
  timer_settime(*timer, 0, &setting, NULL);
}

void cp_events_start(const cp_options *options, const pid_t *tids, int count) {
  thread_count = count < MAX_THREADS ? count : MAX_THREADS;
  memcpy(threads, tids, (size_t)thread_count * sizeof *tids);
  memset(ticks, 0, sizeof ticks);
  barrier_count = migration_count = 0;
  running = options->events;
  __atomic_store_n(&ending, 0, __ATOMIC_RELEASE);
  if (running & CP_TIMERS) {
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART | (running & CP_NESTED ? SA_NODEFER : 0)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGRTMIN, &action, NULL);
    timer_count = 0;
    for (int i = 0; i < thread_count; i++) {
      start_timer(i, options->interval);
      if (running & CP_NESTED) start_timer(i, options->interval * 7 / 5);
    }
  }
  if (running & CP_BARRIERS) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
    pthread_create(&barriers, NULL, run_barriers, NULL);
  }
  if (running & CP_MIGRATIONS) pthread_create(&migrations, NULL, run_migrations, NULL);
}

void cp_events_stop(cp_result *result) {
  __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
  if (running & CP_TIMERS)
    for (int i = 0; i < timer_count; i++) timer_delete(timers[i]);
  if (running & CP_BARRIERS) pthread_join(barriers, NULL);
  if (running & CP_MIGRATIONS) pthread_join(migrations, NULL);
  result->barriers += barrier_count;
  result->migrations += migration_count;
  for (int i = 0; i < thread_count; i++) result->handlers += ticks[i].count;
}
