// What the simulated C target and the explorer share: the operations that the explorer implements in Swift, coroutines,
// and the few words that are read on every access.

#ifndef KM_MACHINE_H
#define KM_MACHINE_H

#include "ka_types.h"

/// What an access does.
enum { KM_IMMEDIATE, KM_LOGGED, KM_RUNNING };
/// Memory orderings.
enum { KM_relaxed, KM_acquire, KM_release, KM_acq_rel, KM_seq_cst };
/// Read-modify-writes.
enum { KM_exchange, KM_fetch_add, KM_fetch_sub, KM_fetch_or, KM_fetch_and };

/// KM_IMMEDIATE: acts on memory. KM_LOGGED: the same, to be undone. KM_RUNNING: an operation of a simulated thread.
extern uint32_t km_mode;
/// The explorer's state.
extern void *_Nullable km_machine;

static inline uint32_t km_current_mode(void) { return km_mode; }
static inline void km_set_mode(uint32_t mode) { km_mode = mode; }
static inline void *_Nullable km_machine_address(void) { return km_machine; }
static inline void km_set_machine(void *_Nonnull machine) { km_machine = machine; }

// Implemented in Swift, by the explorer.
uint64_t km_load(const void *_Nonnull word, uint32_t size, uint32_t order);
void km_store(void *_Nonnull word, uint32_t size, uint32_t order, uint64_t value);
uint64_t km_update(void *_Nonnull word, uint32_t size, uint32_t order, uint32_t operation, uint64_t operand);
uint64_t km_compare_exchange(
    void *_Nonnull word, uint32_t size, uint32_t order, uint64_t expected, uint64_t desired);
void km_fence(uint32_t order);
/// A plain access that the compiler's instrumentation reports.
void km_plain(const void *_Nonnull address, uint64_t size, bool is_write);
/// Where a simulated thread begins; it does not return.
void km_thread_main(void);
/// Where a simulated thread ends whose instruction trapped; it does not return.
void km_trapped(void);

/// The memory that scenarios are made of, at one address in every run.
#define KM_ARENA_SHIFT 32
#define KM_ARENA_BASE 0x100000000000ull

/// Whether the code that runs now is a coroutine that may be left where it stands.
extern uint32_t km_guarded;
static inline bool km_is_guarded(void) { return km_guarded != 0; }
static inline void km_set_guarded(bool guarded) { km_guarded = guarded; }

/// One byte for each page of the arena: whether a simulated thread ever wrote to it plainly.
extern uint8_t km_written_pages[1u << (KM_ARENA_SHIFT - 12)];
static inline uint8_t *_Nonnull km_written_page(uint64_t address) {
  return &km_written_pages[(address - KM_ARENA_BASE) >> 12];
}

/// Maps the arena and makes traps of simulated threads end at km_trapped. False where the address is taken.
bool km_prepare(void);
/// Makes the arena zero again.
void km_clear_arena(void);

/// A fresh stack pointer for a thread that begins at km_thread_main.
void *_Nonnull km_new_stack(uint32_t thread);
/// Saves this stack in `*from` and goes on with the other.
void km_switch(void *_Nullable *_Nonnull from, void *_Nonnull to);

/// Which seeded fault is on; 0: none. The mutated copy of the sources asks.
extern uint32_t km_mutation;
static inline bool km_is_mutation(uint32_t number) { return km_mutation == number; }
static inline void km_set_mutation(uint32_t number) { km_mutation = number; }

#endif
