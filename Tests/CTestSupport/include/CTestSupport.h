// What tests need of the system that Swift does not offer: fork, signal handlers that block, timers for one thread,
// CPU affinity, resident pages.

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#if defined(__linux__)

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this is compiled with ThreadSanitizer, which holds signals back until the next intercepted call.
bool ct_thread_sanitizer(void);
/// Whether this is compiled with ThreadSanitizer or AddressSanitizer.
bool ct_sanitizer(void);

/// Whether this is compiled with AddressSanitizer.
bool ct_address_sanitizer(void);
/// Whether AddressSanitizer's leak detection finds something at the moment; it says what. False in other builds.
bool ct_finds_leaks(void);

/// The CPUs that this process may run on.
int ct_cpu_count(void);
/// Binds the calling thread to the `index`-th of those CPUs. Returns the CPU's number, or -1.
int ct_pin(int index);
/// Undoes `ct_pin`.
void ct_unpin(void);

/// Forks; the child runs `body`, is killed after `seconds`, and leaves with the result. Returns its process, or -1.
int ct_fork(int (*_Nonnull body)(void *_Nullable), void *_Nullable argument, unsigned seconds);
/// Waits for a child: its exit status, or 256 + the signal that killed it.
int ct_wait(int process);

/// Lets the calling thread be parked, stormed and ended by an alarm: a thread that a Dispatch worker makes has all signals blocked.
void ct_accept_signals(void);

/// Makes `thread` stop inside a signal handler until `ct_resume`. Returns whether it did, within `milliseconds`.
/// One thread at a time.
bool ct_park(pthread_t thread, unsigned milliseconds);
/// Lets the parked thread go on.
void ct_resume(void);
/// A place at which the thread can be parked under ThreadSanitizer, too.
void ct_parking_place(void);

/// Interrupts the calling thread with a signal whose handler calls `body` with `context`, some `microseconds` after this and
/// after each such handler, until `ct_storm_end` on the same thread. At least 10: a timer that ends before the handler has
/// returned lets the thread do nothing in between. NULL where refused.
void *_Nullable ct_storm_begin(
    unsigned microseconds, void (*_Nonnull body)(void *_Nullable), void *_Nullable context);
void ct_storm_end(void *_Nonnull storm);

/// Bytes of whole pages of a range that memory stands behind.
size_t ct_resident_bytes(void *_Nonnull start, size_t bytes);
/// Makes the kernel refuse membarrier to this process from now on, as some sandboxes do. False where it refuses that.
bool ct_refuse_membarrier(void);
/// Lowers the address space limit of this process.
bool ct_limit_address_space(size_t bytes);

#endif
#endif
