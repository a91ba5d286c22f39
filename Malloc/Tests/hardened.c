// What the hardened library finds, in blocks of each size class and in large ones. Each mistake is a process of its own, which must end
// with SIGABRT after exactly one line that names the call and the block.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "check.h"

enum { neighbours = 64 };
static char *all[neighbours];
/// What the line must name: the child says so.
static char *volatile *named;

static void overflow(char *block, size_t size) { block[size] ^= 0xff, free(block); }
static void overflow_realloc(char *block, size_t size) { block[size] ^= 0xff, all[0] = realloc(block, size + size / 4); }
static void overflow_array(char *block, size_t size) { block[size] ^= 0xff, all[0] = reallocarray(block, size, 2); }
static void overflow_usable(char *block, size_t size) { block[size] ^= 0xff, OPAQUE(malloc_usable_size(block)); }
// Found in the block below, where there is one on the same page: when it is freed, or when it leaves the quarantine.
static void underflow(char *block, size_t size) {
  (void)block, (void)size;
  *named = NULL;
  for (int i = 0; i < neighbours; i++)
    if ((uintptr_t)all[i] % 4096) all[i][-1] ^= 0xff;
  for (int i = 0; i < neighbours; i++) free(all[i]);
}
// Found when the block leaves the quarantine.
static void late(char *block, size_t size) {
  free(block);
  OPAQUE(block)[size / 2] = 7;
  for (int i = 0; i < 200000; i++) free(OPAQUE(malloc(size)));
}
// In a page that had no memory when the block was freed.
static void late_alone(char *block, size_t size) {
  (void)block;
  CHECK((*named = malloc(size)));
  free(*named);
  OPAQUE(*named)[size / 2] = 7;
  for (int i = 0; i < 200000; i++) free(OPAQUE(malloc(size)));
}
static void twice(char *block, size_t size) { (void)size, free(block), free(OPAQUE(block)); }
static void *freer(void *block) { return free(block), NULL; }
static void twice_elsewhere(char *block, size_t size) {
  (void)size;
  pthread_t thread;
  free(block);
  CHECK(!pthread_create(&thread, NULL, freer, OPAQUE(block)));
  pthread_join(thread, NULL);
}
// By two threads at the same moment.
static atomic_int ready;
static void *racer(void *block) {
  atomic_fetch_add(&ready, 1);
  while (atomic_load(&ready) < 2) {
  }
  return free(block), NULL;
}
static void twice_at_once(char *block, size_t size) {
  (void)size;
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, racer, block));
  racer(OPAQUE(block));
  pthread_join(thread, NULL);
}
// Above 16 MiB the pages of a freed block go back.
static void twice_huge(char *block, size_t size) {
  (void)block, (void)size;
  const size_t huge = 20 << 20;
  CHECK((*named = malloc(huge))), memset(*named, 1, huge);
  twice(*named, huge);
}
// More blocks than have a page behind them that cannot be touched.
static void twice_unguarded(char *block, size_t size) {
  (void)block;
  for (int i = 0; i < 16384; i++) CHECK(malloc(33000));
  CHECK((*named = malloc(size))), memset(*named, 1, size);
  twice(*named, size);
}
static void interior(char *block, size_t size) { *named = block + size / 2 / 16 * 16 + 8, free(*named); }
static void before(char *block, size_t size) { (void)size, *named = block - 8, free(*named); }

static const struct mistake {
  const char *name, *call, *says;
  void (*make)(char *, size_t);
  size_t least, most;
} mistakes[] = {
    {"overflow", "free", "overflow", overflow, 0, SIZE_MAX},
    {"overflow, seen by realloc", "realloc", "overflow", overflow_realloc, 0, SIZE_MAX},
    {"overflow, seen by reallocarray", "reallocarray", "overflow", overflow_array, 0, SIZE_MAX},
    {"overflow, seen by malloc_usable_size", "malloc_usable_size", "overflow", overflow_usable, 0, SIZE_MAX},
    {"underflow", "free", "", underflow, 0, 4000},
    {"write after free", "free", "written after it was freed", late, 0, 520192},
    {"write after free, alone on its page", "free", "written after it was freed", late_alone, 140000, 520192},
    {"double free", "free", "double free", twice, 0, SIZE_MAX},
    {"double free in another thread", "free", "double free", twice_elsewhere, 0, SIZE_MAX},
    {"double free by two threads at once", "free", "", twice_at_once, 0, SIZE_MAX},
    {"double free above 16 MiB", "free", "double free", twice_huge, 8, 8},
    {"double free without a guard page", "free", "double free", twice_unguarded, 61000, 530000},
    {"free of the middle", "free", "invalid pointer", interior, 16, SIZE_MAX},
    {"free before the block", "free", "invalid pointer", before, 16, SIZE_MAX},
};

static void dies(const struct mistake *mistake, size_t size) {
  int ends[2], status = -1;
  CHECK(!pipe(ends));
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]), close(ends[1]);
    for (int i = 0; i < neighbours; i++) CHECK((all[i] = malloc(size))), memset(all[i], i, size);
    *named = all[neighbours / 2];
    mistake->make(all[neighbours / 2], size);
    _exit(3);
  }
  close(ends[1]);
  char text[1024], call[32];
  size_t length = 0;
  for (ssize_t more; (more = read(ends[0], text + length, sizeof text - 1 - length)) > 0;) length += (size_t)more;
  text[length] = 0;
  close(ends[0]);
  CHECK(waitpid(child, &status, 0) == child);
  unsigned long address = 0;
  int start = 0;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strchr(text, '\n') == text + length - 1 &&
      sscanf(text, "kalloc: %31[a-z_ ](0x%lx): %n", call, &address, &start) == 2 && start > 0 && !strcmp(call, mistake->call) &&
      strstr(text + start, mistake->says) && (!*named || address == (unsigned long)*named))
    return;
  fprintf(stderr, "%s, %zu bytes: status %#x, block %p: %s\n", mistake->name, size, status, *named, text);
  exit(1);
}

// Freed memory is zero, whoever reads it.
static void zeroed(size_t size) {
  char *block = malloc(size);
  CHECK(block);
  memset(block, 0x5a, size);
  free(block);
  for (size_t i = 0; i < size; i++) CHECK(OPAQUE(block)[i] == 0);
}

// Guard pages leave a process mappings for other things.
static void *nothing(void *unused) { return unused; }
static void mappings(void) {
  enum { count = 34000 };
  static char *blocks[count];
  for (int i = 0; i < count; i++) CHECK((blocks[i] = malloc(33000)));
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, nothing, NULL));
  pthread_join(thread, NULL);
  for (int i = 0; i < count; i++) CHECK((blocks[i] = realloc(blocks[i], 34000 + (size_t)i % 2 * 20000))), blocks[i][33999] = 1;
  for (int i = 0; i < count; i++) free(blocks[i]);
}

// Blocks do not come in the order of their addresses, nor in the same order in another process.
static void order(char *text, size_t room) {
  size_t length = 0;
  for (int i = 0; i < neighbours; i++) length += (size_t)snprintf(text + length, room - length, "%p ", malloc(100));
}
static void disorder(const char *program) {
  char texts[2][neighbours * 20] = {{0}}, command[4096];
  snprintf(command, sizeof command, "%s order", program);
  for (int i = 0; i < 2; i++) {
    FILE *other = popen(command, "r");
    CHECK(other && fgets(texts[i], sizeof texts[i], other) && pclose(other) == 0);
  }
  CHECK(strcmp(texts[0], texts[1]));
  static const size_t classes[] = {112, 1024, 5120, 32768};
  for (size_t class = 0; class < sizeof classes / sizeof *classes; class++) {
    const ptrdiff_t step = (ptrdiff_t)classes[class];
    int ascending = 0;
    for (int i = 0; i < neighbours; i++) all[i] = malloc(classes[class] - 12);
    for (int i = 1; i < neighbours; i++) ascending += all[i] - all[i - 1] == step || all[i - 1] - all[i] == step;
    CHECK(ascending < neighbours / 2);
  }
}

// Freed large blocks keep the page behind them: as many as serve a program that frees many at once, and not more than 16 MiB of them.
static int is_guarded(const char *page) {
  int ends[2];
  CHECK(!pipe(ends));
  const int refused = write(ends[1], page, 1) < 0 && errno == EFAULT;
  close(ends[0]), close(ends[1]);
  return refused;
}
static int pages_kept(int count, size_t size, size_t room) {
  static char *blocks[1000];
  int kept = 0;
  CHECK(count <= 1000);
  for (int i = 0; i < count; i++) CHECK((blocks[i] = malloc(size)));
  for (int i = 0; i < count; i++) free(blocks[i]);
  for (int i = 0; i < count; i++) kept += is_guarded(blocks[i] + room);
  return kept;
}
static void keeps(void) {
  CHECK(pages_kept(200, 36000, 36864) == 200);
  const int more = pages_kept(1000, 400000, 454656);
  CHECK(more >= 10 && more <= (16 << 20) / 458752);
}

// What is never touched has no memory: not when it is freed, and not when it is looked at again.
static void untouched(void) {
  enum { count = 8, pages = 100 };
  for (size_t size = 400000; size <= 6400000; size *= 4) {
    char *blocks[count];
    unsigned char resident[pages];
    for (int i = 0; i < count; i++) CHECK((blocks[i] = malloc(size))), blocks[i][0] = 1;
    for (int i = 0; i < count; i++) {
      CHECK(!mincore(blocks[i], pages * 4096, resident));
      int before = 0, after = 0;
      for (int page = 0; page < pages; page++) before += resident[page] & 1;
      free(blocks[i]);
      free(OPAQUE(malloc(size)));
      CHECK(!mincore(blocks[i], pages * 4096, resident));
      for (int page = 0; page < pages; page++) after += resident[page] & 1;
      CHECK(after <= before + 2);
    }
  }
}

// Where memory is short, what is held back serves for blocks of other sizes.
static void limited(void) {
  static char *blocks[1000];
  static const size_t sizes[] = {100000, 200000, 30000, 100000};
  for (size_t turn = 0; turn < sizeof sizes / sizeof *sizes; turn++) {
    size_t count = 0;
    while (count < 1000 && (blocks[count] = malloc(sizes[turn]))) count++;
    CHECK(errno == ENOMEM && count * sizes[turn] > 20 << 20);
    while (count > 0) free(blocks[--count]);
  }
  // A size that nobody has is no such case; a program that asks for memory back is.
  malloc_trim(0);
  char *block = malloc(36000);
  free(block);
  CHECK(!malloc(OPAQUE(1ul << 60)) && is_guarded(block + 36864));
  malloc_trim(0);
  CHECK(!is_guarded(block + 36864));
}
static void under_a_limit(const char *program) {
  char command[4096];
  snprintf(command, sizeof command, "KALLOC_OPTIONS=$KALLOC_OPTIONS,limit=32M %s limited", program);
  CHECK(system(command) == 0);
}

int main(int count, char **words) {
  if (count > 1 && !strcmp(words[1], "limited")) return limited(), 0;
  if (count > 1) {
    char text[neighbours * 20];
    order(text, sizeof text);
    puts(text);
    return 0;
  }
  disorder(words[0]);
  keeps();
  untouched();
  under_a_limit(words[0]);
  named = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(named != MAP_FAILED);
  for (size_t class = 16; class <= 3 << 20;) {
    // One that fills its class, where the next byte is the seal's, and one that does not.
    for (size_t size = class - 8; size + 13 >= class; size -= 5) {
      zeroed(size);
      for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        if (size >= mistakes[i].least && size <= mistakes[i].most) dies(&mistakes[i], size);
    }
    if (class < 128) class += 16;
    else if (class < 32768) class += (size_t)1 << (61 - __builtin_clzl(class));
    // The rooms of large blocks: a page less than a power of two.
    else class = class * 2 + (class == 32768 ? -4096 : 4096);
  }
  mappings();
  puts("hardened: ok");
}
