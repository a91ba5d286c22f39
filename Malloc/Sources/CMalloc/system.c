#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cmalloc.h"

int km_open(const char *path) {
  const int saved = errno;
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  errno = saved;
  return file;
}

int km_create_numbered(const char *start) {
  const int saved = errno;
  char path[km_path_bytes + 32];
  snprintf(path, sizeof path, "%s.%d.heap", start, (int)getpid());
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  errno = saved;
  return file;
}

void km_append_maps(int file) {
  const int saved = errno;
  char text[4096];
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t count; maps >= 0 && (count = read(maps, text, sizeof text)) > 0;) km_write(file, text, (size_t)count);
  if (maps >= 0) close(maps);
  errno = saved;
}

void *km_map(size_t bytes) {
  const int saved = errno;
  void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  errno = saved;
  return address == MAP_FAILED ? NULL : address;
}

void km_unmap(void *address, size_t bytes) { munmap(address, bytes); }

void km_close(int file) {
  const int saved = errno;
  close(file);
  errno = saved;
}

static struct stat duplicated;

int km_duplicate(int file) {
  const int saved = errno;
  const int copy = fcntl(file, F_DUPFD_CLOEXEC, 512);
  fstat(copy < 0 ? file : copy, &duplicated);
  errno = saved;
  return copy < 0 ? file : copy;
}

bool km_is_duplicate(int file) {
  const int saved = errno;
  struct stat now;
  const bool is = fstat(file, &now) == 0 && now.st_dev == duplicated.st_dev && now.st_ino == duplicated.st_ino;
  errno = saved;
  return is;
}

void km_write(int file, const char *text, size_t bytes) {
  const int saved = errno;
  while (bytes > 0) {
    const ssize_t written = write(file, text, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    text += written;
    bytes -= (size_t)written;
  }
  errno = saved;
}

_Noreturn void km_abort(void) { abort(); }

int km_process(void) { return (int)getpid(); }

uint64_t km_random(void) {
  const int saved = errno;
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits) {
    const void *random = (const void *)getauxval(AT_RANDOM);
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (random) memcpy(&bits, random, sizeof bits);
    bits ^= (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15ull;
  }
  errno = saved;
  return bits;
}

void km_discard(void *address, size_t bytes) {
  const int saved = errno;
  // Refused for locked memory.
  if (madvise(address, bytes, MADV_DONTNEED) != 0) memset(address, 0, bytes);
  errno = saved;
}

bool km_is_filled(const void *address, uint8_t byte, size_t bytes) {
  const uint8_t *const first = address;
  return bytes == 0 || (*first == byte && memcmp(first, first + 1, bytes - 1) == 0);
}

static bool zero(uint8_t *start, size_t bytes) { return memset(start, 0, bytes) != NULL; }
static bool is_zero(uint8_t *start, size_t bytes) { return km_is_filled(start, 0, bytes); }

/// Calls `each` with what has memory. Pages without get none; as they may be on a disk they are discarded, which is zero, too, and
/// interrupts nobody. A few pages are not worth the question, and where the kernel does not answer it all of them are looked at.
static bool each_resident(uint8_t *start, size_t bytes, bool (*each)(uint8_t *, size_t)) {
  enum { page = 4096, most = 256, few = 32 };
  uint8_t resident[most];
  const int saved = errno;
  bool all = true;
  while (all && bytes > few * page) {
    const size_t pages = bytes / page < most ? bytes / page : most;
    if (mincore(start, pages * page, resident) != 0) break;
    for (size_t first = 0, next; first < pages; first = next) {
      for (next = first + 1; next < pages && (resident[next] & 1) == (resident[first] & 1);) next++;
      if (resident[first] & 1) all = all && each(start + first * page, (next - first) * page);
      else km_discard(start + first * page, (next - first) * page);
    }
    start += pages * page;
    bytes -= pages * page;
  }
  errno = saved;
  return all && each(start, bytes);
}

void km_zero(void *address, size_t bytes) { each_resident(address, bytes, zero); }
bool km_is_zero(void *address, size_t bytes) { return each_resident(address, bytes, is_zero); }

bool km_protect(void *address, size_t bytes, bool accessible) {
  const int saved = errno;
  // What no page has need not be flushed, now or the next time.
  if (!accessible) madvise(address, bytes, MADV_DONTNEED);
  const bool done = mprotect(address, bytes, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;
  errno = saved;
  return done;
}

static char output_path[km_path_bytes], profile_path[km_path_bytes];
char *km_output_path(void) { return output_path; }
char *km_profile_path(void) { return profile_path; }

uint64_t km_kept[16 * 256], km_pool[40 * 16], km_quarantine[1024];
_Thread_local uint64_t km_random_state;
