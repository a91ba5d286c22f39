// ptrace, on x86-64: a victim that runs to an instruction and is left there.

#ifndef CTRACE_H
#define CTRACE_H

#include "CProof.h"

/// Whether this machine can do what follows.
bool cp_can_trace(void);

/// Lets the parent trace this thread, stops, runs the operation, and stops for ever.
_Noreturn void cp_victim(void (*_Nonnull operation)(void *_Nullable), void *_Nullable context);

/// Reads and writes a word of a victim that is stopped.
uint64_t cp_peek(pid_t victim, uint64_t address);
void cp_poke(pid_t victim, uint64_t address, uint64_t word);

/// Where a victim is.
typedef struct {
  enum { CP_AT, CP_GONE } how;
  uint64_t address;
} cp_place;

/// Waits for a new victim's first stop, before its operation.
cp_place cp_await_victim(pid_t victim);
/// Lets the victim go on to the `count`-th time (from 1) that it is about to execute the instruction at `address`, or to the end of
/// its operation, whichever comes first. `interrupted`: with a signal, whose handler runs at once; the address may be in it.
cp_place cp_run_to(pid_t victim, uint64_t address, uint32_t count, bool interrupted);
/// Single-steps so many instructions, or to the end of the operation.
cp_place cp_step(pid_t victim, uint64_t count);
/// Whether the operation has ended there.
bool cp_is_end(cp_place place);
/// What that handler calls. It may be interrupted by the same signal.
void cp_on_interrupt(void (*_Nonnull handler)(void *_Nullable), void *_Nullable context);
/// Whether a victim is in a handler.
bool cp_is_in_handler(pid_t victim);
/// Ends this process after so many seconds.
void cp_live_at_most(unsigned seconds);

/// Steps through the whole operation and writes down the address of each instruction that is about to be executed, up to `limit`.
/// With `through` restartable sequences are run through without a stop, of which the first instruction is written down; without
/// it each is aborted by the step. `interrupted`: a handler runs first, and its instructions come first. Returns how many there were.
size_t cp_record(pid_t victim, bool through, bool interrupted, uint64_t *_Nonnull addresses, size_t limit);

/// The restartable sequences of this program: the addresses of the first instruction and behind the last.
size_t cp_section_count(void);
uint64_t cp_section_start(size_t index);
uint64_t cp_section_end(size_t index);
/// Whether the instruction at an address is of one.
bool cp_is_in_section(uint64_t address);

/// The address of the operating program that the symbol table's addresses are relative to.
uint64_t cp_load_bias(void);
/// The readable form of a mangled name, into `buffer`; false where it is none.
bool cp_demangle(const char *_Nonnull name, char *_Nonnull buffer, size_t bytes);

/// Starts threads of a trial; they are never joined.
void cp_crew(int count, void (*_Nonnull body)(void *_Nullable context, int index), void *_Nullable context);

/// A lock that waits, broken on purpose.
void cp_spin_lock(uint32_t *_Nonnull lock);
void cp_spin_unlock(uint32_t *_Nonnull lock);

/// The CPU that this thread runs on.
int cp_current_cpu(void);

#endif
