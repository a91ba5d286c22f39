// The C family as glibc and POSIX document it: sizes, alignments, zeros, errno, overflow.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include "check.h"

// Newer or older than this C library.
__attribute__((weak)) void free_sized(void *, size_t);
__attribute__((weak)) void free_aligned_sized(void *, size_t, size_t);
__attribute__((weak)) void cfree(void *);

// Slab's classes: 16-byte steps to 128, then four for each doubling.
static size_t class_bytes(size_t size) {
  if (size <= 128) return size == 0 ? 16 : (size + 15) / 16 * 16;
  size_t step = 32;
  while (size > 8 * step) step *= 2;
  return (size + step - 1) / step * step;
}

static void every_size(void) {
  for (size_t size = 0; size <= 32768; size++) {
    void *block = OPAQUE(malloc(size));
    CHECK(block && ((uintptr_t)block & 15) == 0);
    if (!getenv("HARDENED")) CHECK(malloc_usable_size(block) == class_bytes(size));
    CHECK(malloc_usable_size(block) >= size);
    memset(block, 0x5a, size);
    free(block);
  }
  for (size_t size = 32769; size < 64ul << 20; size = size * 3 / 2 + 7) {
    char *block = OPAQUE(malloc(size));
    CHECK(block && ((uintptr_t)block & 15) == 0 && malloc_usable_size(block) >= size);
    block[0] = block[size - 1] = 1;
    free(block);
  }
}

static void zero_sizes(void) {
  void *first = OPAQUE(malloc(0)), *second = OPAQUE(malloc(0));
  CHECK(first && second && first != second);
  free(first);
  free(second);
  first = OPAQUE(calloc(0, 5));
  second = OPAQUE(calloc(5, 0));
  CHECK(first && second && first != second);
  CHECK(realloc(first, 0) == NULL);
  free(second);
  first = OPAQUE(realloc(NULL, 0));
  CHECK(first);
  free(first);
  free(NULL);
  cfree(NULL);
  free_sized(NULL, 8);
  CHECK(malloc_usable_size(NULL) == 0);
}

static void absurd_sizes(void) {
  size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, PTRDIFF_MAX - 65536, 1ul << 60, 1ul << 48};
  char *block = malloc(100);
  strcpy(block, "kept");
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t size = OPAQUE(sizes[i] + 0);
    void *result = block;
#define REFUSED(call) errno = 0, CHECK((call) == NULL), CHECK(errno == ENOMEM)
    REFUSED(OPAQUE(malloc(size)));
    REFUSED(OPAQUE(calloc(1, size)));
    REFUSED(OPAQUE(calloc(size, 1)));
    REFUSED(OPAQUE(realloc(block, size)));
    REFUSED(OPAQUE(reallocarray(block, 1, size)));
    REFUSED(OPAQUE(aligned_alloc(64, size)));
    REFUSED(OPAQUE(memalign(64, size)));
    REFUSED(OPAQUE(valloc(size)));
    REFUSED(OPAQUE(pvalloc(size)));
    errno = 7;
    CHECK(posix_memalign(&result, 64, size) == ENOMEM && result == block && errno == 7);
  }
  REFUSED(OPAQUE(calloc(OPAQUE(1ul << 33), 1ul << 33)));
  REFUSED(OPAQUE(calloc(OPAQUE(SIZE_MAX / 2), 3)));
  REFUSED(OPAQUE(reallocarray(block, OPAQUE(1ul << 33), 1ul << 33)));
  CHECK(strcmp(block, "kept") == 0);
  free(block);
}

static void alignments(void) {
  for (size_t alignment = 1; alignment <= 64ul << 20; alignment *= 2) {
    for (size_t size = 0; size <= 200000; size = size * 4 + 1) {
      void *block = OPAQUE(memalign(alignment, size));
      CHECK(block && ((uintptr_t)block & (alignment - 1)) == 0 && malloc_usable_size(block) >= size);
      memset(block, 1, size);
      void *other = OPAQUE(aligned_alloc(alignment, size));
      CHECK(other && other != block && ((uintptr_t)other & (alignment - 1)) == 0);
      free_aligned_sized(other, alignment, size);
      free(block);
      if (alignment >= sizeof(void *)) {
        CHECK(posix_memalign(&block, alignment, size) == 0 && ((uintptr_t)block & (alignment - 1)) == 0);
        block = OPAQUE(realloc(block, size + 100));
        CHECK(block);
        free(block);
      }
    }
  }
  void *block = (void *)1;
  errno = 3;
  CHECK(posix_memalign(&block, OPAQUE(3ul), 8) == EINVAL && posix_memalign(&block, OPAQUE(0ul), 8) == EINVAL);
  CHECK(posix_memalign(&block, OPAQUE(4ul), 8) == EINVAL && posix_memalign(&block, OPAQUE(24ul), 8) == EINVAL);
  CHECK(block == (void *)1 && errno == 3);
  CHECK(aligned_alloc(OPAQUE(3ul), 8) == NULL && errno == EINVAL);
  // The largest alignments are those of no block; what is no power of two counts as the next one, which 2^63 is the last of.
  for (size_t huge = 1ul << 47; huge; huge *= 2) {
    errno = 3;
    CHECK(posix_memalign(&block, OPAQUE(huge), 8) == ENOMEM && block == (void *)1 && errno == 3);
    REFUSED(aligned_alloc(OPAQUE(huge), 8));
    REFUSED(memalign(OPAQUE(huge), 8));
    REFUSED(memalign(OPAQUE(huge / 2 + 1), 1ul << 47));
  }
  errno = 0;
  CHECK(memalign(OPAQUE((1ul << 63) + 1), 8) == NULL && errno == EINVAL);
  block = memalign(OPAQUE(48ul), 100);
  CHECK(block && ((uintptr_t)block & 63) == 0);
  free(block);
  block = OPAQUE(valloc(1));
  CHECK(((uintptr_t)block & 4095) == 0);
  free(block);
  block = OPAQUE(pvalloc(4097));
  CHECK(((uintptr_t)block & 4095) == 0 && malloc_usable_size(block) >= 8192);
  free(block);
}

static void zeros(void) {
  for (int round = 0; round < 3; round++) {
    for (size_t size = 1; size < 3ul << 20; size = size * 2 + 3) {
      unsigned char *block = OPAQUE(calloc(size, 1));
      CHECK(block);
      for (size_t i = 0; i < size; i++) CHECK(block[i] == 0);
      memset(block, 0xff, malloc_usable_size(block));
      free(block);
    }
  }
}

static void resizing(void) {
  size_t size = 1, old = 0;
  unsigned char *block = NULL;
  unsigned seed = 1;
  for (int step = 0; step < 4000; step++) {
    seed = seed * 1103515245 + 12345;
    size = step % 3 == 0 ? (seed >> 8) % 500 + 1 : step % 3 == 1 ? (seed >> 8) % 40000 + 1 : (seed >> 8) % 900000 + 1;
    block = step % 2 ? realloc(block, size) : reallocarray(block, size, 1);
    CHECK(block && malloc_usable_size(block) >= size);
    const size_t common = size < old ? size : old;
    for (size_t i = 0; i < common; i += 61) CHECK(block[i] == (unsigned char)(i * 7 + old));
    for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(i * 7 + size);
    old = size;
  }
  free(block);
  // Step by step up to 40 MB: not quadratic, but where every step moves the block.
  block = NULL;
  const size_t most = getenv("HARDENED") ? 4ul << 20 : 40ul << 20;
  for (size = 4096; size < most; size += 4096) {
    block = realloc(block, size);
    CHECK(block);
    block[size - 1] = 1;
  }
  free(block);
}

static void keeps_errno(void) {
  void *blocks[600];
  for (size_t size = 8; size < 8ul << 20; size *= 4) {
    const int count = size > 100000 ? 8 : 600;
    for (int i = 0; i < count; i++) blocks[i] = malloc(size);
    errno = 99;
    for (int i = 0; i < count; i++) free(blocks[i]);
    malloc_usable_size(NULL);
    CHECK(errno == 99);
  }
}

static void tuning(void) {
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_TRIM_THRESHOLD, 1) == 1 && mallopt(12345, 1) == 0);
  malloc_trim(0);
  // Large blocks are not part of the arena, as glibc's mappings are not; what is neither in use nor free is not there.
  struct mallinfo2 before = mallinfo2(), info;
  void *block = malloc(3 << 20), *small[100];
  memset(block, 1, 3 << 20);
  info = mallinfo2();
  CHECK(info.hblkhd >= before.hblkhd + (3 << 20) && info.hblks == before.hblks + 1 && info.uordblks < before.uordblks + (1 << 20));
  CHECK(info.arena == info.uordblks + info.fordblks && info.smblks == 0 && info.usmblks == 0 && info.fsmblks == 0);
  before = info;
  for (int i = 0; i < 100; i++) small[i] = malloc(20000);
  info = mallinfo2();
  CHECK(info.uordblks >= before.uordblks + 2000000 && info.hblkhd == before.hblkhd && info.arena == info.uordblks + info.fordblks);
  CHECK((size_t)mallinfo().uordblks == info.uordblks && (size_t)mallinfo().hblkhd == info.hblkhd);
  for (int i = 0; i < 100; i++) free(small[i]);
  free(block);
  CHECK(malloc_trim(0) == 1);
  info = mallinfo2();
  CHECK(info.hblkhd <= before.hblkhd - (getenv("HARDENED") ? 0 : 3 << 20) && info.uordblks < before.uordblks + 2000000);
  char *text = NULL;
  size_t length = 0;
  FILE *stream = open_memstream(&text, &length);
  CHECK(malloc_info(0, stream) == 0 && fclose(stream) == 0);
  CHECK(strncmp(text, "<malloc version=\"1\">\n", 21) == 0 && !strcmp(text + length - 10, "</malloc>\n"));
  // Each element has a type, and numbers that are not negative.
  int elements = 0;
  for (char *line = strchr(text, '\n') + 1; line[1] != '/'; line = strchr(line, '\n') + 1, elements++) {
    char tag[16], type[16];
    unsigned long size, number;
    int end = 0;
    if (sscanf(line, "<%15[a-z] type=\"%15[a-z]\" size=\"%lu\"/>%n", tag, type, &size, &end) != 3)
      CHECK(sscanf(line, "<%15[a-z] type=\"%15[a-z]\" count=\"%lu\" size=\"%lu\"/>%n", tag, type, &number, &size, &end) == 4);
    CHECK(end > 0 && line[end] == '\n' && size <= 1ul << 40);
  }
  CHECK(elements == 6 && strstr(text, "<system type=\"current\"") && strstr(text, "<total type=\"mmap\""));
  free(text);
  CHECK(malloc_info(1, stdout) == -1 && errno == EINVAL);
}

int main(void) {
  CHECK(free_sized && free_aligned_sized && cfree);
  every_size();
  zero_sizes();
  absurd_sizes();
  alignments();
  zeros();
  resizing();
  keeps_errno();
  tuning();
  puts("family: ok");
}
