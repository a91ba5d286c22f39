// A victim is a process whose first thread stops at a trap, runs one operation, and stops at a second trap. The parent takes it
// from the first to wherever it wants: by single steps, or by a hardware breakpoint, which stops before the instruction at an
// address and disturbs nothing on the way there, restartable sequences included. Other threads of the process are not traced.
//
// A single step inside a restartable sequence aborts it: the stop is a preemption. To record what an operation does when it is
// left alone, the sequences are recognised by the store that announces them and run through, to the instruction behind them
// or the one that an abort leads to.

#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CTrace.h"

#if defined(__linux__) && defined(__x86_64__)

bool cp_can_trace(void) { return true; }

extern const char cp_victim_end[] __attribute__((visibility("hidden")));

void cp_victim(void (*operation)(void *), void *context) {
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  __asm__ volatile("int3" ::: "memory");
  operation(context);
  __asm__ volatile(".globl cp_victim_end\n.hidden cp_victim_end\ncp_victim_end: int3" ::: "memory");
  for (;;) pause();
}

static uint64_t victim_end(void) { return (uint64_t)(uintptr_t)cp_victim_end; }
bool cp_is_end(cp_place place) { return place.how == CP_AT && place.address == victim_end(); }

static cp_place next_stop(pid_t victim) {
  int status;
  for (;;) {
    if (waitpid(victim, &status, __WALL) < 0) {
      if (errno == EINTR) continue;
      return (cp_place){CP_GONE, 0};
    }
    if (!WIFSTOPPED(status)) return (cp_place){CP_GONE, 0};
    const int signal = WSTOPSIG(status);
    if (signal == SIGTRAP) break;
    ptrace(PTRACE_CONT, victim, NULL, (long)signal);
  }
  const long address = ptrace(PTRACE_PEEKUSER, victim, offsetof(struct user_regs_struct, rip), NULL);
  // Behind the trap at the end, the trap counts.
  if ((uint64_t)address == victim_end() + 1) return (cp_place){CP_AT, victim_end()};
  return (cp_place){CP_AT, (uint64_t)address};
}

static void debug_register(pid_t victim, int index, uint64_t value) {
  ptrace(PTRACE_POKEUSER, victim, offsetof(struct user, u_debugreg) + (size_t)index * sizeof(long), value);
}

uint64_t cp_peek(pid_t victim, uint64_t address) {
  return (uint64_t)ptrace(PTRACE_PEEKDATA, victim, (void *)(uintptr_t)address, NULL);
}

void cp_poke(pid_t victim, uint64_t address, uint64_t word) {
  ptrace(PTRACE_POKEDATA, victim, (void *)(uintptr_t)address, word);
}

// Up to two addresses; 0: none.
static void breakpoints(pid_t victim, uint64_t first, uint64_t second) {
  debug_register(victim, 7, 0);
  debug_register(victim, 0, first);
  debug_register(victim, 1, second);
  debug_register(victim, 7, (first ? 1u : 0u) | (second ? 4u : 0u));
}

static cp_place go_on(pid_t victim, int signal) {
  ptrace(PTRACE_CONT, victim, NULL, (long)signal);
  return next_stop(victim);
}

static cp_place one_step(pid_t victim, int signal) {
  ptrace(PTRACE_SINGLESTEP, victim, NULL, (long)signal);
  return next_stop(victim);
}

cp_place cp_await_victim(pid_t victim) {
  cp_place place = next_stop(victim);
  if (place.how == CP_AT) ptrace(PTRACE_SETOPTIONS, victim, NULL, (long)PTRACE_O_EXITKILL);
  return place;
}

cp_place cp_run_to(pid_t victim, uint64_t address, uint32_t count, bool interrupted) {
  breakpoints(victim, address, victim_end());
  cp_place place = {CP_AT, 0};
  for (uint32_t hits = 0; hits < count; hits++) {
    place = go_on(victim, interrupted && hits == 0 ? SIGUSR1 : 0);
    if (place.how == CP_GONE || place.address != address) break;
  }
  if (place.how == CP_AT) breakpoints(victim, 0, 0);
  return place;
}

cp_place cp_step(pid_t victim, uint64_t count) {
  cp_place place = {CP_AT, 0};
  while (count-- > 0 && place.how == CP_AT && !cp_is_end(place)) place = one_step(victim, 0);
  return place;
}

// What the assembler leaves for the kernel, see the kernel's documentation of rseq.
typedef struct {
  uint32_t version, flags;
  uint64_t start, length, abort;
} descriptor;

extern const descriptor __start___rseq_cs[] __attribute__((weak, visibility("hidden")));
extern const descriptor __stop___rseq_cs[] __attribute__((weak, visibility("hidden")));

size_t cp_section_count(void) { return (size_t)(__stop___rseq_cs - __start___rseq_cs); }
uint64_t cp_section_start(size_t index) { return __start___rseq_cs[index].start; }
uint64_t cp_section_end(size_t index) { return __start___rseq_cs[index].start + __start___rseq_cs[index].length; }

// `mov %reg, %fs:8(%reg)`, which ends where the sequence begins; parent and child are the same program at the same addresses.
static const descriptor *announced_at(uint64_t address) {
  const uint8_t *code = (const uint8_t *)(uintptr_t)address;
  if (code[0] != 0x64 || (code[1] & 0xf0) != 0x40 || code[2] != 0x89) return NULL;
  for (const descriptor *section = __start___rseq_cs; section < __stop___rseq_cs; section++)
    if (section->start - address == 5 || section->start - address == 6) return section;
  return NULL;
}

// Where the jump at the abort address leads.
static uint64_t not_done(const descriptor *section) {
  const uint8_t *code = (const uint8_t *)(uintptr_t)section->abort;
  if (code[0] == 0xeb) return section->abort + 2 + (uint64_t)(int64_t)(int8_t)code[1];
  int32_t distance;
  memcpy(&distance, code + 1, sizeof distance);
  return section->abort + 5 + (uint64_t)(int64_t)distance;
}

static bool is_own_code(uint64_t address) {
  extern const char __executable_start[], etext[];
  return address >= (uint64_t)(uintptr_t)__executable_start && address < (uint64_t)(uintptr_t)etext;
}

size_t cp_record(pid_t victim, bool through, bool interrupted, uint64_t *addresses, size_t limit) {
  size_t count = 0;
  cp_place place = one_step(victim, interrupted ? SIGUSR1 : 0);
  while (place.how == CP_AT && !cp_is_end(place) && count < limit) {
    addresses[count++] = place.address;
    const descriptor *section = through && is_own_code(place.address) ? announced_at(place.address) : NULL;
    if (!section) {
      place = one_step(victim, 0);
      continue;
    }
    if (count < limit) addresses[count++] = section->start;
    breakpoints(victim, section->start + section->length, not_done(section));
    place = go_on(victim, 0);
    if (place.how == CP_AT) breakpoints(victim, 0, 0);
  }
  return count;
}

#else

bool cp_can_trace(void) { return false; }
uint64_t cp_peek(pid_t victim, uint64_t address) { return 0; }
void cp_poke(pid_t victim, uint64_t address, uint64_t word) {}
void cp_victim(void (*operation)(void *), void *context) { for (;;) pause(); }
bool cp_is_end(cp_place place) { return true; }
cp_place cp_await_victim(pid_t victim) { return (cp_place){CP_GONE, 0}; }
cp_place cp_run_to(pid_t victim, uint64_t address, uint32_t count, bool interrupted) { return (cp_place){CP_GONE, 0}; }
cp_place cp_step(pid_t victim, uint64_t count) { return (cp_place){CP_GONE, 0}; }
size_t cp_record(pid_t victim, bool through, bool interrupted, uint64_t *addresses, size_t limit) { return 0; }
size_t cp_section_count(void) { return 0; }
uint64_t cp_section_start(size_t index) { return 0; }
uint64_t cp_section_end(size_t index) { return 0; }

#endif

bool cp_is_in_section(uint64_t address) {
  for (size_t index = 0; index < cp_section_count(); index++)
    if (address >= cp_section_start(index) && address < cp_section_end(index)) return true;
  return false;
}

static int first_object(struct dl_phdr_info *info, size_t size, void *bias) {
  *(uint64_t *)bias = info->dlpi_addr;
  return 1;
}

uint64_t cp_load_bias(void) {
  uint64_t bias = 0;
  dl_iterate_phdr(first_object, &bias);
  return bias;
}

// Of the Swift runtime, which kproof-malloc has not.
char *swift_demangle(const char *name, size_t length, char *buffer, size_t *bytes, uint32_t flags) __attribute__((weak));

bool cp_demangle(const char *name, char *buffer, size_t bytes) {
  return swift_demangle && swift_demangle(name, strlen(name), buffer, &bytes, 0) != NULL;
}

static void (*interrupt_handler)(void *);
static void *interrupt_context;
static uint64_t handlers;

static void interrupted(int signal) {
  handlers++;
  interrupt_handler(interrupt_context);
  handlers--;
}

bool cp_is_in_handler(pid_t victim) { return cp_peek(victim, (uint64_t)(uintptr_t)&handlers) != 0; }

void cp_on_interrupt(void (*handler)(void *), void *context) {
  interrupt_handler = handler;
  interrupt_context = context;
  struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_NODEFER};
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, NULL);
}

void cp_live_at_most(unsigned seconds) { alarm(seconds); }

typedef struct {
  void (*body)(void *, int);
  void *context;
  int index;
} crew_member;

static void *run_member(void *argument) {
  const crew_member *member = argument;
  member->body(member->context, member->index);
  return NULL;
}

void cp_crew(int count, void (*body)(void *context, int index), void *context) {
  static crew_member members[64];
  for (int i = 0; i < count && i < 64; i++) {
    members[i] = (crew_member){body, context, i};
    pthread_t thread;
    pthread_create(&thread, NULL, run_member, &members[i]);
  }
}

void cp_spin_lock(uint32_t *lock) {
  while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) sched_yield();
}

void cp_spin_unlock(uint32_t *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

int cp_current_cpu(void) { return sched_getcpu(); }
