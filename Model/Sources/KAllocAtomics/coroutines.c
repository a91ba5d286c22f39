// Stacks for simulated threads, the switch between them, and what happens to one whose instruction traps.

#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "km_machine.h"

uint32_t km_mode = KM_IMMEDIATE;
void *km_machine = NULL;
uint32_t km_mutation = 0;
uint32_t km_guarded = 0;
uint8_t km_written_pages[1u << (KM_ARENA_SHIFT - 12)];

enum { STACK_BYTES = 512 << 10, STACKS = 6 };  // four threads, the check, and one for those that trapped
static char stacks[STACKS][STACK_BYTES] __attribute__((aligned(4096)));

#if defined(__x86_64__)
__asm__(
    ".text\n.globl km_switch\n.type km_switch,@function\n"
    "km_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\n"
    "movq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\n"
    "ret\n");

void *km_new_stack(uint32_t thread) {
  void **top = (void **)(stacks[thread] + STACK_BYTES);
  memset(top - 8, 0, 8 * sizeof *top);
  top[-2] = (void *)km_thread_main;
  return top - 8;
}
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl km_switch\n.type km_switch,@function\n"
    "km_switch:\n"
    "sub sp, sp, #160\n"
    "stp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\nstp x25, x26, [sp, #48]\n"
    "stp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\n"
    "stp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
    "mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
    "ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, [sp, #48]\n"
    "ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\n"
    "ldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
    "add sp, sp, #160\n"
    "ret\n");

void *km_new_stack(uint32_t thread) {
  char *frame = stacks[thread] + STACK_BYTES - 160;
  memset(frame, 0, 160);
  *(void **)(frame + 88) = (void *)km_thread_main;
  return frame;
}
#endif

static void on_signal(int number, siginfo_t *info, void *context) {
  if (!km_guarded) {
    signal(number, SIG_DFL);
    return;
  }
  // The thread goes no further: its stack is left as it is, and another takes the report to the explorer.
  ucontext_t *machine = context;
  uintptr_t top = (uintptr_t)stacks[STACKS - 1] + STACK_BYTES;
#if defined(__x86_64__)
  machine->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)km_trapped;
  machine->uc_mcontext.gregs[REG_RSP] = (greg_t)(top - 8);
#elif defined(__aarch64__)
  machine->uc_mcontext.pc = (uintptr_t)km_trapped;
  machine->uc_mcontext.sp = top;
#endif
}

bool km_prepare(void) {
  void *wanted = (void *)(uintptr_t)KM_ARENA_BASE;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  if (mmap(wanted, 1ul << KM_ARENA_SHIFT, PROT_READ | PROT_WRITE, flags, -1, 0) != wanted) return false;
  static char signal_stack[64 << 10];
  stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
  return true;
}

void km_clear_arena(void) {
  madvise((void *)(uintptr_t)KM_ARENA_BASE, 1ul << KM_ARENA_SHIFT, MADV_DONTNEED);
  memset(km_written_pages, 0, sizeof km_written_pages);
}
