// Slots: the numbers that threads own in `thread` mode, so that each works in a region of its own.
//
// A slot is a bit in `owned`: claimed by fetch-or, handed back by fetch-and when its thread ends. The region behind a
// slot outlives the thread and goes to the next owner as it is. A claim acquires what the last owner released.

#include "KAllocAtomics.h"

#if defined(__linux__)

#include <pthread.h>

static uint64_t owned[KA_THREAD_SLOTS / 64];
static pthread_key_t exit_key;
static uint32_t exit_key_state;  // 0 not made, 1 being made, 2 made, 3 refused

enum { SLOT_NONE = -1, SLOT_CLAIMING = -2, SLOT_ENDED = -3 };
static _Thread_local int32_t slot __attribute__((tls_model("initial-exec"))) = SLOT_NONE;

bool ka_thread_slot_claim(int32_t number) {
  const uint64_t bit = 1ull << (number % 64);
  return (__atomic_fetch_or(&owned[number / 64], bit, __ATOMIC_ACQUIRE) & bit) == 0;
}

void ka_thread_slot_release(int32_t number) {
  __atomic_fetch_and(&owned[number / 64], ~(1ull << (number % 64)), __ATOMIC_RELEASE);
}

static void thread_ends(void *number) {
  slot = SLOT_ENDED;
  ka_thread_slot_release((int32_t)((intptr_t)number - 1));
}

#if defined(__GLIBC__)
// The values of glibc's first 32 keys stand in the thread itself; for others `pthread_setspecific` allocates.
static bool stores_without_malloc(pthread_key_t key) { return key < 32; }
#else
static bool stores_without_malloc(pthread_key_t key) { return true; }
#endif

// A thread that finds the key being made by another goes without a slot for now: nobody waits.
static bool exit_key_ready(void) {
  uint32_t state = __atomic_load_n(&exit_key_state, __ATOMIC_ACQUIRE);
  if (state == 0 && ka_u32_cas_acquire(&exit_key_state, 0, 1) == 0) {
    state = pthread_key_create(&exit_key, thread_ends) == 0 ? 2 : 3;
    if (state == 2 && !stores_without_malloc(exit_key)) {
      pthread_key_delete(exit_key);
      state = 3;
    }
    __atomic_store_n(&exit_key_state, state, __ATOMIC_RELEASE);
  }
  return state == 2;
}

// Early, so that the key is one of the first. Where it is not, no thread has a slot, and the shared path serves.
__attribute__((constructor(101))) static void claim_exit_key(void) { exit_key_ready(); }

int32_t ka_thread_slot(void) {
  if (slot != SLOT_NONE) return slot >= 0 ? slot : -1;
  slot = SLOT_CLAIMING;  // a signal handler goes without
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  int32_t found = SLOT_NONE;
  if (exit_key_ready()) {
    for (int32_t number = 0; number < KA_THREAD_SLOTS && found < 0; number++) {
      uint64_t taken = __atomic_load_n(&owned[number / 64], __ATOMIC_RELAXED);
      if (taken == ~0ull) {
        number |= 63;
      } else if (!(taken & (1ull << (number % 64))) && ka_thread_slot_claim(number)) {
        found = number;
      }
    }
    if (found >= 0 && pthread_setspecific(exit_key, (void *)(intptr_t)(found + 1)) != 0) {
      ka_thread_slot_release(found);
      found = SLOT_NONE;
    }
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  slot = found;
  return found;
}

#else

int32_t ka_thread_slot(void) { return -1; }
bool ka_thread_slot_claim(int32_t number) { return false; }
void ka_thread_slot_release(int32_t number) {}

#endif
