// Threads that are stopped for good wherever they are, and where that was.
//
// Another process stops them, a child of this one that traces its parent's threads. No signal is delivered, and a thread
// that is stopped never comes back to user mode: a restartable sequence that it is in is neither finished nor aborted.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "CProof.h"

enum { MAX_PARKED = 64, TRIES = 200 };

// What this process and the one that stops its threads say to each other, one word after the other.
static struct {
  uint32_t asked, answered;
  // 0: it could not be stopped.
  uint64_t place;
  pid_t thread;
  enum { STOP, GO_ON } what;
} *words;

static uint64_t places[MAX_PARKED];
static uint32_t parked;

static uint64_t place_of(pid_t thread) {
  struct user_regs_struct registers;
  struct iovec all = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &all) != 0) return 0;
#if defined(__x86_64__)
  return registers.rip;
#elif defined(__aarch64__)
  return registers.pc;
#else
  return 1;
#endif
}

static uint64_t stop(pid_t thread) {
  // Where it is traced already, this one fails.
  ptrace(PTRACE_SEIZE, thread, NULL, NULL);
  if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0) return 0;
  for (;;) {
    int status;
    if (waitpid(thread, &status, __WALL) < 0) {
      if (errno == EINTR) continue;
      return 0;
    }
    if (!WIFSTOPPED(status)) return 0;
    if (status >> 16 == PTRACE_EVENT_STOP) return place_of(thread);
    ptrace(PTRACE_CONT, thread, NULL, (long)WSTOPSIG(status));
  }
}

static void stop_threads_for_parent(void) {
  cp_end_with_parent();
  for (uint32_t done = 0;; done++) {
    while (!cp_await(&words->asked, done + 1, 60000)) {}
    if (words->what == STOP)
      words->place = stop(words->thread);
    else
      ptrace(PTRACE_CONT, words->thread, NULL, NULL);
    cp_add(&words->answered, 1);
  }
}

static uint64_t ask(int what, pid_t thread, int limit) {
  words->what = what;
  words->thread = thread;
  const uint32_t after = cp_add(&words->asked, 1);
  return cp_await(&words->answered, after, limit) ? words->place : 0;
}

bool cp_park_begin(void) {
  words = cp_map_shared(sizeof *words);
  if (!words) return false;
  const pid_t process = cp_fork();
  if (process == 0) stop_threads_for_parent();
  if (process > 0) prctl(PR_SET_PTRACER, process);
  return process > 0;
}

bool cp_park(pid_t thread, const uint32_t *inside, bool in_section, int limit) {
  for (int left = TRIES;; left--) {
    const uint64_t place = ask(STOP, thread, limit);
    if (!place) return false;
    // The first half for a sequence, then anywhere inside, then anywhere at all.
    const bool fits = cp_read(inside) && (!in_section || left < TRIES / 2 || cp_is_in_section(place));
    if (fits || left == 0) {
      places[parked % MAX_PARKED] = place;
      parked++;
      return true;
    }
    ask(GO_ON, thread, limit);
  }
}

uint32_t cp_parked(void) { return parked; }
uint64_t cp_parked_at(uint32_t index) { return places[index % MAX_PARKED]; }
