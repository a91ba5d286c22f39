// The thread of KALLOC_BACKGROUND=1. It takes no signals and a small stack; a forked child, which has none of its parent's
// threads, gets one of its own.

#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "cmalloc.h"

void km_background(void) KM_HIDDEN;

static void *run(void *unused) {
  pthread_setname_np(pthread_self(), "kalloc");
  km_background();
  return unused;
}

static void start(void) {
  const int saved = errno;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  pthread_t thread;
  // Where there can be no thread the program goes on without.
  pthread_create(&thread, &attributes, run, NULL);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = saved;
}

void km_background_begin(void) {
  pthread_atfork(NULL, NULL, start);
  start();
}

void km_sleep(uint64_t milliseconds) {
  struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
}
