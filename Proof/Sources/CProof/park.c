// Threads that are stopped for good wherever a signal finds them, and where that was.

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "CProof.h"

enum { MAX_PARKED = 64 };

static uint64_t places[MAX_PARKED];
static uint32_t parked, answers;
static const uint32_t *wanted;

static void park(int number, siginfo_t *info, void *context) {
  const ucontext_t *interrupted = context;
#if defined(__x86_64__)
  const uint64_t place = (uint64_t)interrupted->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  const uint64_t place = interrupted->uc_mcontext.pc;
#else
  const uint64_t place = 0;
#endif
  if (wanted && !cp_read(wanted)) {
    cp_add(&answers, 1);
    return;
  }
  // One is parked at a time.
  places[cp_read(&parked) % MAX_PARKED] = place;
  cp_add(&parked, 1);
  cp_add(&answers, 1);
  for (;;) pause();
}

bool cp_park(pthread_t thread, const uint32_t *inside, int limit) {
  struct sigaction action = {.sa_sigaction = park, .sa_flags = SA_SIGINFO};
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR2, &action, NULL);
  const uint32_t before = cp_read(&parked);
  for (int tries = 200; tries >= 0 && cp_read(&parked) == before; tries--) {
    wanted = tries > 0 ? inside : NULL;
    const uint32_t answered = cp_read(&answers);
    if (pthread_kill(thread, SIGUSR2) != 0 || !cp_await(&answers, answered + 1, limit)) return false;
  }
  return true;
}

uint32_t cp_parked(void) { return cp_read(&parked); }
uint64_t cp_parked_at(uint32_t index) { return places[index % MAX_PARKED]; }
