// The workloads, over an allocator that is given as functions, so that all run the same.
//
// A block carries a header and is filled with words that follow from it:
//
//     word 0   mix(address, word 1)        word 1   bytes | number << 20        word i   word 0 + i
//
// The number is new for each block, and the owner remembers word 1: a block that two threads were given is not what one of them
// wrote. Where all blocks lie in one window a map of bytes says besides which addresses are owned.
//
// Each thread keeps blocks in slots of its own and swaps some with a common array, so that many are freed by another thread. In
// a slot there is a block or nothing: it is stored there after it was filled, and taken out before it is freed. So a forked
// child finds whole blocks, and what a thread was allocating or freeing at that moment is in no slot.

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CProof.h"

enum { MAX_THREADS = 64, SLOTS = 192, MAIL = 256, HANDLER_BLOCKS = 6, CHILD_BLOCKS = 2000, CHILD_BOOKS = 16, MAX_DEPTH = 4, PARK_OPERATIONS = 1000 };

typedef struct {
  _Alignas(128) uint64_t random;
  // By depth: a handler may interrupt a handler.
  uint64_t handler_random[MAX_DEPTH];
  volatile unsigned depth;
  uint64_t nested;
  uint64_t operations;
  uint64_t number;
  const uint32_t *inside;
  pid_t tid;
  pthread_t handle;
  uint64_t *blocks[SLOTS];
  uint64_t headers[SLOTS];
} worker;

// Whether this thread is in the allocator, for those who stop it there.
static _Thread_local uint32_t inside;
static void is_inside(uint32_t now) { __atomic_store_n(&inside, now, __ATOMIC_RELEASE); }

static worker workers[MAX_THREADS];
static uint64_t *mail[MAIL];
static cp_allocator allocator;
static cp_options options;
static cp_result *report;
static uint8_t *owners;
static uint32_t started, ending, faults;

static void fault(const char *text, const void *block) {
  // The first one is kept.
  if (cp_add(&faults, 1) == 1)
    snprintf(report->fault, sizeof report->fault, "%s, at %p", text, block);
  __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
}

static bool over(void) { return __atomic_load_n(&ending, __ATOMIC_RELAXED) != 0; }

static uint64_t next(uint64_t *state) {
  *state += 0x9e3779b97f4a7c15u;
  uint64_t word = *state;
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
  word = (word ^ word >> 27) * 0x94d049bb133111ebu;
  return word ^ word >> 31;
}

static size_t some_size(uint64_t random) {
  const unsigned kind = random & 63;
  const uint64_t rest = random >> 6;
  if (kind < 48) return 16 + rest % 1009;
  if (kind < 62) return 16 + rest % 8177;
  return 16 + rest % 90000;
}

static size_t bytes_of(uint64_t header) { return header & 0xfffff; }
static uint64_t first_word(const uint64_t *block, uint64_t header) {
  return ((uint64_t)(uintptr_t)block ^ header) * 0x9e3779b97f4a7c15u;
}
// Of a long block the ends.
static size_t words_checked(size_t bytes) { return bytes / 8 < 64 ? bytes / 8 : 64; }

static uint64_t *take(uint64_t header) {
  const size_t bytes = bytes_of(header);
  is_inside(1);
  uint64_t *block = allocator.allocate(allocator.context, bytes);
  is_inside(0);
  if (!block) return NULL;
  if (owners && __atomic_exchange_n(&owners[(uintptr_t)block % options.window / 16], 1, __ATOMIC_ACQ_REL))
    fault("a block was given to two owners", block);
  block[0] = first_word(block, header);
  block[1] = header;
  for (size_t i = 2; i < words_checked(bytes); i++) block[i] = block[0] + i;
  for (size_t i = bytes / 8 - 1; i >= 2 && i > bytes / 8 - 9; i--) block[i] = block[0] + i;
  return block;
}

static bool is_whole(const uint64_t *block, uint64_t header) {
  const size_t bytes = bytes_of(header);
  if (block[1] != header || block[0] != first_word(block, header)) return false;
  for (size_t i = 2; i < words_checked(bytes); i++)
    if (block[i] != block[0] + i) return false;
  for (size_t i = bytes / 8 - 1; i >= 2 && i > bytes / 8 - 9; i--)
    if (block[i] != block[0] + i) return false;
  return true;
}

static void give(uint64_t *block, uint64_t header) {
  if (!is_whole(block, header)) return fault("a block has lost its contents", block);
  if (owners) __atomic_store_n(&owners[(uintptr_t)block % options.window / 16], 0, __ATOMIC_RELEASE);
  block[0] = ~block[0];
  is_inside(1);
  allocator.release(allocator.context, block, bytes_of(header));
  is_inside(0);
}

static uint64_t new_header(worker *self) {
  self->number += MAX_THREADS;
  return some_size(next(&self->random)) | self->number << 20;
}

static void step(worker *self) {
  const uint64_t random = next(&self->random);
  const unsigned slot = random % SLOTS;
  uint64_t *block = __atomic_exchange_n(&self->blocks[slot], NULL, __ATOMIC_ACQ_REL);
  if (block) {
    uint64_t header = self->headers[slot];
    if (random >> 61 == 0) {
      if (!is_whole(block, header)) return fault("a block has lost its contents", block);
      block = __atomic_exchange_n(&mail[random >> 16 & (MAIL - 1)], block, __ATOMIC_ACQ_REL);
      if (block) header = block[1];
    }
    if (block) give(block, header);
  } else {
    const uint64_t header = new_header(self);
    block = take(header);
    if (!block) return fault("no memory", NULL);
    self->headers[slot] = header;
    __atomic_store_n(&self->blocks[slot], block, __ATOMIC_RELEASE);
  }
  __atomic_store_n(&self->operations, self->operations + 1, __ATOMIC_RELAXED);
}

static void handle_tick(int thread) {
  worker *self = &workers[thread];
  if (self->depth == MAX_DEPTH) return;
  uint64_t *random = &self->handler_random[self->depth++];
  if (self->depth > 1) self->nested++;
  uint64_t *blocks[HANDLER_BLOCKS];
  uint64_t headers[HANDLER_BLOCKS];
  const unsigned count = 1 + next(random) % HANDLER_BLOCKS;
  unsigned got = 0;
  for (; got < count; got++) {
    headers[got] = some_size(next(random)) | next(random) << 20;
    blocks[got] = take(headers[got]);
    if (!blocks[got]) break;
  }
  while (got-- > 0) give(blocks[got], headers[got]);
  self->depth--;
}

static void *work(void *argument) {
  worker *self = argument;
  self->tid = (pid_t)syscall(SYS_gettid);
  self->inside = &inside;
  cp_add(&started, 1);
  while (!over()) {
    for (int i = 0; i < 256; i++) step(self);
    if (allocator.stir && self == workers && self->operations % 16384 < 256) {
      is_inside(1);
      allocator.stir(allocator.context);
      is_inside(0);
    }
  }
  return NULL;
}

static void *probe(void *argument) {
  ((worker *)argument)->tid = (pid_t)syscall(SYS_gettid);
  cp_add(&started, 1);
  options.probe(options.probe_context, &ending, report);
  return NULL;
}

static int thread_count(void) { return options.threads + (options.probe != NULL); }

static void start(const cp_allocator *under_test, const cp_options *with, cp_result *result) {
  allocator = *under_test;
  options = *with;
  report = result;
  memset(result, 0, sizeof *result);
  memset(workers, 0, sizeof workers);
  memset(mail, 0, sizeof mail);
  started = ending = faults = 0;
  owners = NULL;
  if (options.window) {
    owners = mmap(NULL, options.window / 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (owners == MAP_FAILED) owners = NULL;
  }
  for (int i = 0; i < thread_count(); i++) {
    workers[i].random = options.seed + (uint64_t)i;
    for (int depth = 0; depth < MAX_DEPTH; depth++)
      workers[i].handler_random[depth] = ~options.seed + (uint64_t)(i + depth * MAX_THREADS);
    workers[i].number = (uint64_t)i;
    pthread_create(&workers[i].handle, NULL, i < options.threads ? work : probe, &workers[i]);
  }
  cp_await(&started, (uint32_t)thread_count(), 60000);
}

static void free_all(void) {
  for (int i = 0; i < options.threads; i++) {
    for (int slot = 0; slot < SLOTS; slot++) {
      uint64_t *block = workers[i].blocks[slot];
      // The number of a block that came from a slot is the one remembered there, unless a thread was about to change it.
      if (block) give(block, block[1]);
      workers[i].blocks[slot] = NULL;
    }
  }
  for (int i = 0; i < MAIL; i++) {
    if (mail[i]) give(mail[i], mail[i][1]);
    mail[i] = NULL;
  }
}

static void finish(void) {
  for (int i = 0; i < thread_count(); i++) {
    pthread_join(workers[i].handle, NULL);
    report->operations += workers[i].operations;
    report->nested += workers[i].nested;
  }
  if (!faults) free_all();
  int code = 0;
  if (!faults && allocator.check) code = allocator.check(allocator.context, false);
  if (code) fault("the books do not balance", (void *)(intptr_t)code);
  if (owners) munmap(owners, options.window / 16);
}

void cp_run_churn(const cp_allocator *under_test, const cp_options *with, cp_result *result) {
  start(under_test, with, result);
  pid_t tids[MAX_THREADS];
  for (int i = 0; i < thread_count(); i++) tids[i] = workers[i].tid;
  cp_on_tick(options.events & CP_HANDLERS ? handle_tick : NULL);
  cp_events_start(&options, tids, thread_count());
  // A fault ends the run early.
  cp_await(&faults, 1, (int)(options.seconds * 1000));
  cp_events_stop(result);
  cp_set(&ending, 1);
  finish();
}

// In the child: only this thread exists.
static int child(uint64_t seed) {
  faults = 0;
  free_all();
  static uint64_t *blocks[CHILD_BLOCKS];
  static uint64_t headers[CHILD_BLOCKS];
  uint64_t random = seed;
  for (int i = 0; i < CHILD_BLOCKS; i++) {
    headers[i] = some_size(next(&random)) | (uint64_t)i << 20;
    blocks[i] = take(headers[i]);
    if (!blocks[i]) return 4;
  }
  for (int i = 0; i < CHILD_BLOCKS; i++) give(blocks[i], headers[i]);
  if (faults) return 3;
  const int code = allocator.check ? allocator.check(allocator.context, true) : 0;
  return code ? CHILD_BOOKS + code : 0;
}

static const char *fault_of(cp_end end) {
  if (end.how == CP_RUNNING) return "hang: a child did not end";
  if (end.how == CP_KILLED) return "crash: a child was ended by a signal";
  switch (end.value) {
  case 0: return NULL;
  case 3: return "wrong: a child found a block that has lost its contents";
  case 4: return "wrong: a child got no memory";
  default: return end.value > CHILD_BOOKS ? "wrong: a child's books do not balance" : "wrong: a child ended with another status";
  }
}

void cp_run_fork(const cp_allocator *under_test, const cp_options *with, int limit, cp_result *result) {
  start(under_test, with, result);
  uint64_t random = options.seed;
  const uint64_t until = cp_nanoseconds() + (uint64_t)(options.seconds * 1e9);
  while (!over() && cp_nanoseconds() < until) {
    const uint64_t seed = next(&random);
    const pid_t process = cp_fork();
    if (process == 0) cp_exit(child(seed));
    if (process < 0) {
      fault("fork is refused", NULL);
      break;
    }
    const cp_end end = cp_wait(process, limit);
    if (end.how == CP_RUNNING) cp_kill(process);
    const char *text = fault_of(end);
    if (text) fault(text, (void *)(uintptr_t)end.value);
    result->forks++;
  }
  cp_set(&ending, 1);
  finish();
}

static uint64_t operations_of(int thread) { return __atomic_load_n(&workers[thread].operations, __ATOMIC_RELAXED); }

// Until a worker has done so many operations in all; false: it has not in time, or something was found wrong.
static bool await_operations(int thread, uint64_t count, int limit) {
  const uint64_t until = cp_nanoseconds() + (uint64_t)limit * 1000000;
  while (operations_of(thread) < count) {
    if (over() || cp_nanoseconds() > until) return false;
    sched_yield();
  }
  return true;
}

// All workers but `last` are stopped, one after the other; after each the ones that are left must do their operations.
static void stop_workers(int limit, uint64_t random) {
  bool stopped[MAX_THREADS] = {false};
  uint64_t at_stop[MAX_THREADS];
  for (int left = options.threads; left > 1; left--) {
    int victim = (int)(next(&random) % (uint64_t)options.threads);
    while (stopped[victim]) victim = (victim + 1) % options.threads;
    if (!await_operations(victim, operations_of(victim) + next(&random) % 4096, limit)) break;
    for (int i = 0; i < options.threads; i++) at_stop[i] = operations_of(i);
    stopped[victim] = true;
    if (!cp_park(workers[victim].tid, workers[victim].inside, next(&random) & 1, limit)) return fault("a thread cannot be stopped", NULL);
    for (int i = 0; i < options.threads; i++)
      if (!stopped[i] && !await_operations(i, at_stop[i] + PARK_OPERATIONS, limit))
        return fault("hang: the others wait for a stopped thread, at", (void *)cp_parked_at(cp_parked() - 1));
  }
  cp_set(&ending, 1);
  for (int i = 0; i < options.threads; i++)
    if (!stopped[i]) pthread_join(workers[i].handle, NULL);
}

void cp_run_park(const cp_allocator *under_test, const cp_options *with, int limit, cp_result *result) {
  const bool can_stop = cp_park_begin();
  start(under_test, with, result);
  if (!can_stop) fault("no process that stops threads", NULL);
  stop_workers(limit, options.seed);
  for (int i = 0; i < options.threads; i++) report->operations += operations_of(i);
  // What was in the slots is free again; what the stopped ones had in their hands is not.
  if (!faults) free_all();
  const int code = !faults && allocator.check ? allocator.check(allocator.context, true) : 0;
  if (code) fault("the books do not balance", (void *)(intptr_t)code);
}
