#define _GNU_SOURCE  // MREMAP_MAYMOVE, secure_getenv

#include "ka_os.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ka_syscall.h"

static void *mapped(long result) { return ka_syscall_failed(result) ? NULL : (void *)result; }

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
// Sanitizers watch the C library's calls: what they know of addresses ends with a mapping.
static void *map(void *address, size_t bytes, int protection, int flags) {
  const int saved = errno;
  void *start = mmap(address, bytes, protection, flags, -1, 0);
  errno = saved;
  return start == MAP_FAILED ? NULL : start;
}

static void unmap(void *address, size_t bytes) {
  const int saved = errno;
  munmap(address, bytes);
  errno = saved;
}
#else
static void *map(void *address, size_t bytes, int protection, int flags) {
  return mapped(ka_syscall6(SYS_mmap, (long)address, (long)bytes, protection, flags, -1, 0));
}

static void unmap(void *address, size_t bytes) { ka_syscall3(SYS_munmap, (long)address, (long)bytes, 0); }
#endif

/// Maps `bytes` on an `alignment` boundary. Where the first try is unaligned, the boundary below it is asked for, as the
/// kernel maps downwards; where that is taken, more is mapped, and the ends are given back.
static void *map_aligned(size_t bytes, size_t alignment, int protection) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (bytes == 0 || bytes > SIZE_MAX - alignment) return NULL;
  char *start = map(NULL, bytes, protection, flags);
  if (!start || ((uintptr_t)start & (alignment - 1)) == 0) return start;
  ka_os_unmap(start, bytes);
  start = map((void *)((uintptr_t)start & ~(alignment - 1)), bytes, protection, flags);
  if (!start || ((uintptr_t)start & (alignment - 1)) == 0) return start;
  ka_os_unmap(start, bytes);
  start = map(NULL, bytes + alignment, protection, flags);
  if (!start) return NULL;
  char *aligned = (char *)(((uintptr_t)start + alignment - 1) & ~(alignment - 1));
  if (aligned > start) ka_os_unmap(start, (size_t)(aligned - start));
  size_t tail = (size_t)(start + alignment - aligned);
  if (tail) ka_os_unmap(aligned + bytes, tail);
  return aligned;
}

void *ka_os_reserve(size_t bytes, size_t alignment) { return map_aligned(bytes, alignment, PROT_NONE); }

void *ka_os_map(size_t bytes, size_t alignment) { return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE); }

bool ka_os_commit(void *address, size_t bytes) {
  return ka_syscall3(SYS_mprotect, (long)address, (long)bytes, PROT_READ | PROT_WRITE) == 0;
}

bool ka_os_read_only(void *address, size_t bytes) {
  return ka_syscall3(SYS_mprotect, (long)address, (long)bytes, PROT_READ) == 0;
}

bool ka_os_purge(void *address, size_t bytes) {
  return ka_syscall3(SYS_madvise, (long)address, (long)bytes, MADV_DONTNEED) == 0;
}

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

bool ka_os_purge_ranges(const ka_os_ranges *list) {
  // Names this process to the kernel, without a descriptor.
  const long self = -10000;
  // Relaxed: a hint that it is of no use to ask again.
  static bool has_no_batches;
  if (list->count > 1 && !__atomic_load_n(&has_no_batches, __ATOMIC_RELAXED)) {
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) bytes += list->ranges[i].bytes;
    const long done = ka_syscall6(
        SYS_process_madvise, self, (long)list->ranges, (long)list->count, MADV_DONTNEED, 0, 0);
    if (done == (long)bytes) return true;
    if (done == -EBADF || done == -ENOSYS || done == -EPERM) __atomic_store_n(&has_no_batches, true, __ATOMIC_RELAXED);
  }
  for (size_t i = 0; i < list->count; i++) {
    if (!ka_os_purge((void *)list->ranges[i].address, list->ranges[i].bytes)) return false;
  }
  return true;
}

void ka_os_unmap(void *address, size_t bytes) { unmap(address, bytes); }

void *ka_os_remap(void *address, size_t bytes, size_t new_bytes, bool may_move) {
  return mapped(ka_syscall6(SYS_mremap, (long)address, (long)bytes, (long)new_bytes, may_move ? MREMAP_MAYMOVE : 0, 0, 0));
}

bool ka_os_bind(void *address, size_t bytes, uint32_t node, bool strict) {
  unsigned long mask[16] = {0};
  const uint32_t word_bits = 8 * sizeof(unsigned long);
  if (node >= 16 * word_bits) return false;
  mask[node / word_bits] = 1ul << (node % word_bits);
  const long policy = strict ? MPOL_BIND : MPOL_PREFERRED;
  return ka_syscall6(SYS_mbind, (long)address, (long)bytes, policy, (long)mask, 16 * word_bits, 0) == 0;
}

void ka_os_no_huge_pages(void *address, size_t bytes) {
  ka_syscall3(SYS_madvise, (long)address, (long)bytes, MADV_NOHUGEPAGE);
}

#if __has_feature(address_sanitizer)
void __lsan_register_root_region(const void *, size_t);
void __lsan_unregister_root_region(const void *, size_t);

// The sanitizer changes its list under a lock: a signal handler must not meet it in the thread that it interrupted.
static void without_signals(void (*change)(const void *, size_t), const void *address, size_t bytes) {
  const uint64_t all = ~0ull;
  uint64_t before;
  ka_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof before, 0, 0);
  change(address, bytes);
  ka_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before, 0, 0);
}

void ka_os_blocks_begin(void *address, size_t bytes) { without_signals(__lsan_register_root_region, address, bytes); }
void ka_os_blocks_end(void *address, size_t bytes) { without_signals(__lsan_unregister_root_region, address, bytes); }
#else
void ka_os_blocks_begin(void *address, size_t bytes) { (void)address, (void)bytes; }
void ka_os_blocks_end(void *address, size_t bytes) { (void)address, (void)bytes; }
#endif

/// The bits of the kernel's own CPU masks. Where even those are unknown, the most that Linux is built for.
static uint32_t cpu_mask_bits(void) {
  unsigned long mask[8192 / 8 / sizeof(unsigned long)];
  const long bytes = ka_syscall3(SYS_sched_getaffinity, 0, sizeof mask, (long)mask);
  return bytes > 0 ? (uint32_t)bytes * 8 : 8192;
}

uint32_t ka_os_cpu_limit(void) {
  // The file holds ranges in ascending order, such as "0-7,16-23": the last number is the highest.
  char text[256];
  long file = ka_syscall6(SYS_openat, AT_FDCWD, (long)"/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (ka_syscall_failed(file)) return cpu_mask_bits();  // a sandbox without /sys
  long length = ka_syscall3(SYS_read, file, (long)text, sizeof text);
  ka_syscall3(SYS_close, file, 0, 0);
  uint32_t last = 0;
  bool in_number = false;
  for (long i = 0; i < length; i++) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (digit) last = (in_number ? last * 10 : 0) + (uint32_t)(text[i] - '0');
    in_number = digit;
  }
  return length > 0 ? last + 1 : cpu_mask_bits();
}

uint64_t ka_os_physical_bytes(void) {
  long pages = sysconf(_SC_PHYS_PAGES);
  return pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t ka_os_milliseconds(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) return 0;
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *ka_os_environment(const char *name) { return secure_getenv(name); }

void ka_os_report(const char *text, size_t bytes) { ka_syscall3(SYS_write, 2, (long)text, (long)bytes); }

void ka_os_report_once(const char *text, size_t bytes) {
  static bool reported;
  // Relaxed: nothing follows from it.
  if (!__atomic_exchange_n(&reported, true, __ATOMIC_RELAXED)) ka_os_report(text, bytes);
}

void ka_os_abort(void) { abort(); }

#else

void ka_os_abort(void) { __builtin_trap(); }
void *ka_os_reserve(size_t bytes, size_t alignment) { return NULL; }
void *ka_os_map(size_t bytes, size_t alignment) { return NULL; }
bool ka_os_commit(void *address, size_t bytes) { return false; }
bool ka_os_read_only(void *address, size_t bytes) { return false; }
bool ka_os_purge(void *address, size_t bytes) { return false; }
bool ka_os_purge_ranges(const ka_os_ranges *list) { return false; }
void ka_os_unmap(void *address, size_t bytes) {}
void *ka_os_remap(void *address, size_t bytes, size_t new_bytes, bool may_move) { return NULL; }
bool ka_os_bind(void *address, size_t bytes, uint32_t node, bool strict) { return false; }
void ka_os_no_huge_pages(void *address, size_t bytes) {}
void ka_os_blocks_begin(void *address, size_t bytes) {}
void ka_os_blocks_end(void *address, size_t bytes) {}
uint32_t ka_os_cpu_limit(void) { return 1; }
uint64_t ka_os_physical_bytes(void) { return 0; }
uint64_t ka_os_milliseconds(void) { return 0; }
const char *ka_os_environment(const char *name) { return NULL; }
void ka_os_report(const char *text, size_t bytes) {}
void ka_os_report_once(const char *text, size_t bytes) {}

#endif
