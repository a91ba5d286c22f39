// What the malloc replacement asks of C: errno, a way out, the C library's environment and files.

#ifndef CMALLOC_H
#define CMALLOC_H

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KM_HIDDEN __attribute__((visibility("hidden")))

static inline int km_errno(void) { return errno; }
static inline void km_set_errno(int value) { errno = value; }

/// The value of an environment variable; NULL where it is unset, and in programs with more rights than their caller. Also before the
/// C library has its environment.
const char *_Nullable km_environment(const char *_Nonnull name) KM_HIDDEN;

/// The paths of `output` and `profile`, as the environment had them at the start; empty: none.
enum { km_path_bytes = 1024 };
char *_Nonnull km_output_path(void) KM_HIDDEN;
char *_Nonnull km_profile_path(void) KM_HIDDEN;

/// Writes to a file descriptor, best effort; errno stays.
void km_write(int file, const char *_Nonnull text, size_t bytes) KM_HIDDEN;

/// Writes to a stream of the C library; false: refused.
static inline bool km_print(FILE *_Nonnull stream, const char *_Nonnull text, size_t bytes) {
  return fwrite(text, 1, bytes, stream) == bytes;
}

/// Opens a file to append to; -1: refused. errno stays.
int km_open(const char *_Nonnull path) KM_HIDDEN;
void km_close(int file) KM_HIDDEN;
/// Another descriptor of the same file, a high one that is closed by exec; the same one where refused. errno stays.
int km_duplicate(int file) KM_HIDDEN;
/// Whether `file` is what was duplicated last, and not something else that the program has opened since.
bool km_is_duplicate(int file) KM_HIDDEN;

/// SIGABRT.
_Noreturn void km_abort(void) KM_HIDDEN;

int km_process(void) KM_HIDDEN;

/// Zeroed memory, touched by nobody yet; NULL: refused. errno stays.
void *_Nullable km_map(size_t bytes) KM_HIDDEN;
void km_unmap(void *_Nonnull address, size_t bytes) KM_HIDDEN;

/// Makes the file `start`.PROCESS.heap, or empties it. -1: refused. errno stays.
int km_create_numbered(const char *_Nonnull start) KM_HIDDEN;
/// Appends the process's map of addresses.
void km_append_maps(int file) KM_HIDDEN;

/// What a thread knows of its samples.
typedef struct {
  /// Bytes until the next one.
  int64_t left;
  /// The state of its random numbers; 0: it has sampled nothing.
  uint64_t random;
  /// A sample is being taken.
  bool busy;
} km_samples;

km_samples *_Nonnull km_thread_samples(void) KM_HIDDEN;

/// The return addresses of the calls that led here, the innermost first, without those inside the library. How many, at most
/// `limit`; 0 before `km_stack_begin`.
size_t km_stack(uint64_t *_Nonnull frames, size_t limit) KM_HIDDEN;
/// Finds what walks the stack. Before `main`, outside of any call of the family.
void km_stack_begin(void) KM_HIDDEN;

/// Starts the thread that runs `km_background`, here and in each forked child.
void km_background_begin(void) KM_HIDDEN;
void km_sleep(uint64_t milliseconds) KM_HIDDEN;

/// Random bits from the kernel; a poor substitute where it has none yet.
uint64_t km_random(void) KM_HIDDEN;

/// Makes whole pages unreadable and unwritable, which then have no memory, or readable and writable again. False where refused.
bool km_protect(void *_Nonnull address, size_t bytes, bool accessible) KM_HIDDEN;

/// Makes whole pages zero, and gives their memory back where that can be had. errno stays.
void km_discard(void *_Nonnull address, size_t bytes) KM_HIDDEN;

/// Whether each of the bytes is `byte`.
bool km_is_filled(const void *_Nonnull address, uint8_t byte, size_t bytes) KM_HIDDEN;

/// Makes bytes from a page's beginning on zero; pages without memory get none. errno stays.
void km_zero(void *_Nonnull address, size_t bytes) KM_HIDDEN;
/// Whether bytes from a page's beginning on are zero; pages without memory are made sure to be. errno stays.
bool km_is_zero(void *_Nonnull address, size_t bytes) KM_HIDDEN;

/// The state of the calling thread's random numbers; 0: it has none yet.
extern _Thread_local uint64_t km_random_state __attribute__((tls_model("initial-exec"))) KM_HIDDEN;
static inline uint64_t *_Nonnull km_thread_random(void) { return &km_random_state; }

/// The hardened variant's words: 256 large blocks of each of 16 lengths, 16 blocks of each of 40 classes, and 1024 in quarantine.
extern uint64_t km_kept[16 * 256] KM_HIDDEN, km_pool[40 * 16] KM_HIDDEN, km_quarantine[1024] KM_HIDDEN;
static inline uint64_t *_Nonnull km_kept_words(void) { return km_kept; }
static inline uint64_t *_Nonnull km_pool_words(void) { return km_pool; }
static inline uint64_t *_Nonnull km_quarantine_words(void) { return km_quarantine; }

/// No instruction. Functions with different marks are not equal, so the compiler does not make one jump to another.
#define KM_MARK(number) \
  static inline __attribute__((always_inline)) void km_mark_##number(void) { __asm__ volatile("" : : "i"(number)); }
KM_MARK(1)
KM_MARK(2)
KM_MARK(3)
KM_MARK(4)
KM_MARK(5)
KM_MARK(6)

/// Calls std::get_new_handler's handler and tries again until `size` bytes are there; throws std::bad_alloc without one.
void *_Nullable km_new_slow(size_t size, size_t alignment) KM_HIDDEN;
/// The same; NULL where it would throw.
void *_Nullable km_new_nothrow_slow(size_t size, size_t alignment) KM_HIDDEN;

#endif
