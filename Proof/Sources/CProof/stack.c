// An operation on a stack of its own, to see how much of it is written to. Such a stack is what a signal handler has after
// sigaltstack: the kernel's frame at its top, a guard page below its end.

#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CProof.h"

#define PAINT 0xa5

static void (*stack_operation)(void *);
static void *stack_context;
static const unsigned char *stack_top;

__attribute__((noinline)) static void on_stack(int signal) {
  (void)signal;
  stack_top = __builtin_frame_address(0);
  stack_operation(stack_context);
}

size_t cp_on_stack(size_t bytes, void (*operation)(void *), void *context) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const long frame = sysconf(_SC_MINSIGSTKSZ);
  const size_t all = (bytes + (frame > 0 ? (size_t)frame : MINSIGSTKSZ) + page - 1) / page * page;
  unsigned char *memory = mmap(NULL, page + all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  mprotect(memory, page, PROT_NONE);
  unsigned char *const stack = memory + page;
  memset(stack, PAINT, all);
  stack_operation = operation;
  stack_context = context;
  struct sigaction action = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK}, before;
  stack_t own = {.ss_sp = stack, .ss_size = all}, old;
  sigemptyset(&action.sa_mask);
  size_t used = 0;
  if (sigaction(SIGUSR2, &action, &before) == 0) {
    if (sigaltstack(&own, &old) == 0) {
      raise(SIGUSR2);
      const unsigned char *lowest = stack;
      while (lowest < stack_top && *lowest == PAINT) lowest++;
      used = (size_t)(stack_top - lowest);
      sigaltstack(&old, NULL);
    }
    sigaction(SIGUSR2, &before, NULL);
  }
  munmap(memory, page + all);
  return used;
}
