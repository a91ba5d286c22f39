// What the proofs need below Swift. Shares no code with the allocator that it checks.
//
//   workload.c   threads that allocate, free, verify and hand over, while events come over them; forks in a loop
//   events.c     the events: barriers that abort restartable sequences, interval timers, forced migrations
//   park.c       threads that are stopped for good under load
//   trace.c      ptrace: a victim that is stepped, or run to an instruction, and left there
//   stack.c      how much of a stack an operation writes to
//   process.c    fork, exec, waiting with a limit, words that parent and child share

#ifndef CPROOF_H
#define CPROOF_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// MARK: Processes

/// As fork. The child of a process with several threads may do what an async-signal handler may.
pid_t cp_fork(void);
_Noreturn void cp_exit(int status);
/// From now on the end of the process that started this one, however it ends, is the end of this one.
void cp_end_with_parent(void);

/// How a process ended.
typedef struct {
  enum { CP_RUNNING, CP_EXITED, CP_KILLED } how;
  /// The exit status, or the signal.
  int value;
} cp_end;

/// Waits until a child ends, at most so long; `CP_RUNNING` where it has not.
cp_end cp_wait(pid_t child, int milliseconds);
/// Ends a child and takes its status.
cp_end cp_kill(pid_t child);
/// Starts a program, `arguments` and `environment` ended by NULL, its output going to `output`; -1 where that fails.
/// `quiet`: what it writes to standard error is lost.
pid_t cp_spawn(const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
               char *_Nullable const *_Nonnull environment, int output, bool quiet);

/// Zeroed memory that a forked child shares; NULL where refused.
void *_Nullable cp_map_shared(size_t bytes);
/// Wakes all who wait on a word, after setting it.
void cp_set(uint32_t *_Nonnull word, uint32_t value);
/// Adds to a word and wakes all who wait on it.
uint32_t cp_add(uint32_t *_Nonnull word, uint32_t value);
/// Waits until a word is at least `value`, at most so long; whether it is.
bool cp_await(uint32_t *_Nonnull word, uint32_t value, int milliseconds);
/// Reads a word that others write.
uint32_t cp_read(const uint32_t *_Nonnull word);
uint64_t cp_nanoseconds(void);

/// CPUs that this process may use, at its start.
int cp_cpus(void);
/// Keeps a thread (0: the caller) on the `index`-th of them, modulo their number; -1: on all of them again.
void cp_pin(pid_t thread, int index);

// MARK: Workloads

/// An allocator, as functions.
typedef struct {
  void *_Nullable context;
  void *_Nullable (*_Nonnull allocate)(void *_Nullable context, size_t size);
  void (*_Nonnull release)(void *_Nullable context, void *_Nonnull block, size_t size);
  /// Called now and then by one thread: empty the caches. NULL: nothing.
  void (*_Nullable stir)(void *_Nullable context);
  /// Looks at the allocator's own books when everything was freed; in a forked child (`cut_off`) other threads' operations were
  /// cut off. 0: they balance. NULL: it has none to show.
  int (*_Nullable check)(void *_Nullable context, bool cut_off);
} cp_allocator;

typedef enum {
  /// membarrier(PRIVATE_EXPEDITED_RSEQ) in a loop, from a thread of its own.
  CP_BARRIERS = 1,
  /// A timer for each thread.
  CP_TIMERS = 2,
  /// The timers' handlers allocate, verify and free.
  CP_HANDLERS = 4,
  /// sched_setaffinity in a loop, from a thread of its own.
  CP_MIGRATIONS = 8,
  /// A second timer for each thread; a handler may be interrupted by another one.
  CP_NESTED = 16,
} cp_events;

typedef struct {
  uint64_t operations, handlers, barriers, migrations, forks;
  /// Handlers that interrupted a handler.
  uint64_t nested;
  /// Of the probe: its operations, those that were aborted at their first attempt, and how often one of those was tried again by
  /// the slow path, at most.
  uint64_t probed, aborted, most_retries;
  /// The first thing found wrong; empty: nothing.
  char fault[160];
} cp_result;

typedef struct {
  int threads;
  double seconds;
  uint64_t seed;
  unsigned events;
  /// Nanoseconds between two ticks of a thread's timer.
  long interval;
  /// All blocks lie in a window of so many bytes: each address has one owner at a time, which is checked. 0: only contents are.
  uint64_t window;
  /// Run by one thread more, under the same events, until `*ending` is not 0. NULL: none.
  void (*_Nullable probe)(void *_Nullable context, const uint32_t *_Nonnull ending, cp_result *_Nonnull result);
  void *_Nullable probe_context;
} cp_options;

/// Threads churn until the time is over, under `events`. Everything is freed; then the books are looked at.
void cp_run_churn(const cp_allocator *_Nonnull allocator, const cp_options *_Nonnull options, cp_result *_Nonnull result);

/// Threads churn, and the caller forks in a loop: each child frees every block that it inherited, allocates, frees, checks and
/// exits. A child that does not end within `limit` milliseconds is a fault, and ends the run.
void cp_run_fork(const cp_allocator *_Nonnull allocator, const cp_options *_Nonnull options, int limit,
                 cp_result *_Nonnull result);

/// Threads churn, and the caller stops all but one of them for good, one after the other, wherever in the allocator each is after a
/// random number of operations. After each stop the others must do a thousand operations each within `limit` milliseconds. In the end
/// every block that is in a slot is freed, and the books are looked at as in a forked child.
///
/// > Important: the stopped threads are still there afterwards; only `cp_exit` ends the process.
void cp_run_park(const cp_allocator *_Nonnull allocator, const cp_options *_Nonnull options, int limit,
                 cp_result *_Nonnull result);

/// Starts the process that stops threads of this one; false where that is refused.
bool cp_park_begin(void);
/// Stops a thread for good at an instruction that it is about to execute, where it can be found so while `*inside` is not 0, and
/// with `in_section` in a restartable sequence. False where it cannot be stopped within `limit` milliseconds.
bool cp_park(pid_t thread, const uint32_t *_Nonnull inside, bool in_section, int limit);
/// Threads that were stopped, and the address of the instruction before which each of them was.
uint32_t cp_parked(void);
uint64_t cp_parked_at(uint32_t index);

// MARK: Stack

/// Runs an operation in a signal handler that has a stack of its own, with room for so many bytes and the kernel's frame and a guard
/// page below. Returns how many bytes below the handler's frame were written to; 0 where that is refused.
size_t cp_on_stack(size_t bytes, void (*_Nonnull operation)(void *_Nullable), void *_Nullable context);

// MARK: Events

/// Starts the events over threads of this process, and ends them. `tids` are the threads' ids.
void cp_events_start(const cp_options *_Nonnull options, const pid_t *_Nonnull tids, int count);
void cp_events_stop(cp_result *_Nonnull result);
/// What the handlers of timers call on the thread that they interrupt; NULL: nothing.
void cp_on_tick(void (*_Nullable handler)(int thread));

// MARK: Broken on purpose

/// Over `inner`: each CPU keeps freed blocks of up to 256 bytes on a stack, with plain loads and stores and no restartable
/// sequence. Two threads of one CPU may pop the same block. `context` is static.
cp_allocator cp_plain_stacks(const cp_allocator *_Nonnull inner);

/// Over `inner`: a lock that waits, around every operation.
cp_allocator cp_spin_locked(const cp_allocator *_Nonnull inner);

// MARK: Marks for debuggers

/// Functions around an operation that a debugger steps through.
void cp_mark_begin(void);
void cp_mark_end(void);

/// malloc and free.
extern const cp_allocator cp_libc;
/// The library that `malloc` comes from.
const char *_Nonnull cp_malloc_library(void);


#include "CTrace.h"

#endif
