// The surroundings: threads, their ends and their keys, signals, limits, plug-ins. One test for each argument.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include "churn.h"

// Ten thousand threads alive at once, each with a block.
static atomic_int arrived;
static pthread_barrier_t gate;
static void *sleeper(void *argument) {
  void *block = malloc(100 + (size_t)(uintptr_t)argument % 300);
  CHECK(block);
  memset(block, 1, 100);
  atomic_fetch_add(&arrived, 1);
  pthread_barrier_wait(&gate);
  free(block);
  return NULL;
}
static void threads_10000(void) {
  enum { count = 10000 };
  static pthread_t threads[count];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  int made = 0;
  pthread_barrier_init(&gate, NULL, count + 1);
  made = 0;
  for (; made < count; made++)
    if (pthread_create(&threads[made], &attributes, sleeper, (void *)(uintptr_t)made)) break;
  CHECK(made == count);
  pthread_barrier_wait(&gate);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

// Destructors of keys allocate and free, before and after the allocator's own.
static pthread_key_t keys[3];
static void key_ends(void *block) {
  churn(7, 300);
  free(block);
}
static void *key_owner(void *argument) {
  for (int i = 0; i < 3; i++) pthread_setspecific(keys[i], malloc(64));
  churn(3, 500);
  return argument;
}
static void keys_end(void) {
  for (int i = 0; i < 3; i++) pthread_key_create(&keys[i], key_ends);
  for (int i = 0; i < 300; i++) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, key_owner, NULL));
    pthread_join(thread, NULL);
  }
}

// A program gets rid of what it does not use: with KALLOC_BACKGROUND=1 one that rests, and its child; without, one that goes on.
static long resident(void) {
  long size = 0, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file && fscanf(file, "%ld %ld", &size, &pages) == 2);
  fclose(file);
  return pages / 256;
}
static void rest(size_t goes_on) {
  enum { count = 100000 };
  static void *blocks[count];
  for (int i = 0; i < count; i++) memset(blocks[i] = malloc(1000), 1, 1000);
  CHECK(resident() > 90);
  for (int i = 0; i < count; i++) free(blocks[i]);
  for (int wait = 0; resident() > 20; wait++) {
    CHECK(wait < 600);
    if (goes_on) free(OPAQUE(malloc(goes_on)));
    usleep(50000);
  }
}
// mlockall gives memory to every page that can be written: those are few where little is allocated. Needs the right to it.
static void locked(void) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE)) return;
  CHECK(resident() < 1000);
  churn(21, 300000);
  CHECK(!munlockall());
}
static void ages(void) { rest(3 << 20); }
static void background(void) {
  rest(0);
  int status = -1;
  const pid_t child = fork();
  if (child == 0) rest(0), _exit(0);
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

// A handler that allocates, whatever it interrupts.
static void *volatile kept[16];
static void handler(int signal) {
  static unsigned turn;
  const unsigned slot = turn++ % 16;
  free(kept[slot]);
  kept[slot] = malloc(16 + turn % 900);
  CHECK(kept[slot]);
  memset(kept[slot], (int)turn, 16);
}
static void signals(void) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &timer, NULL);
  churn(11, 1000000);
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
}

// The same on a small stack of its own, whose end is a page that cannot be touched; large blocks and trims, too.
static volatile int handled;
static void large_handler(int signal) {
  handler(signal);
  void *large = malloc(200000), *many[40];
  for (int i = 0; i < 40; i++) many[i] = malloc(100);
  for (int i = 0; i < 40; i++) free(many[i]);
  free(large);
  if (++handled % 50 == 0) malloc_trim(0);
}
static void alternate_stacks(void) {
  char *memory = mmap(NULL, 4096 + SIGSTKSZ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && !mprotect(memory, 4096, PROT_NONE));
  const stack_t stack = {.ss_sp = memory + 4096, .ss_size = SIGSTKSZ};
  CHECK(!sigaltstack(&stack, NULL));
  struct sigaction action = {.sa_handler = large_handler, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 200}, {0, 200}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (handled < 1000) churn(12, 3000);
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
}

// Memory ends, and the program goes on. Called with a limit in place.
static void exhausted(void) {
  static void *blocks[1 << 20];
  for (int round = 0; round < 3; round++) {
    int count = 0;
    while (count < 1 << 20 && (blocks[count] = malloc(count % 3 ? 1000 : 100000))) memset(blocks[count++], 1, 1000);
    CHECK(count > 100 && count < 1 << 20 && errno == ENOMEM);
    for (int i = 0; i < count; i++) free(blocks[i]);
    churn(13, 10000);
  }
}
static void address_space(void) {
  struct rlimit limit = {1ul << 30, 1ul << 30};
  if (!getenv("LIMITED")) {
    CHECK(!setrlimit(RLIMIT_AS, &limit));
    setenv("LIMITED", "1", 1);
    execl("/proc/self/exe", "world", "address-space", NULL);
    CHECK(0);
  }
  exhausted();
}

// In a container of 150 MB: 80 MB of one size after the other, each freed before the next.
static void phases(void) {
  static const size_t sizes[] = {40, 100, 300, 1000, 3000, 10000, 33000, 100000, 300000, 64, 2000, 1000000};
  for (size_t turn = 0; turn < sizeof sizes / sizeof *sizes; turn++) {
    const size_t count = (80ul << 20) / sizes[turn];
    char **blocks = malloc(count * sizeof *blocks);
    CHECK(blocks);
    for (size_t i = 0; i < count; i++) {
      blocks[i] = malloc(sizes[turn]);
      CHECK(blocks[i]);
      memset(blocks[i], 1, sizes[turn]);
    }
    for (size_t i = 0; i < count; i++) free(blocks[i]);
    free(blocks);
  }
}

// Also from threads, whose own objects of the plug-in end with them.
static void *(*give)(size_t);
static void (*take)(void *);
static void *uses(void *unused) {
  for (int i = 0; i < 100; i++) take(give((size_t)i));
  return unused;
}
static void plugins(void) {
  const char *name = getenv("PLUGIN");
  CHECK(name);
  for (int i = 0; i < 100; i++) {
    void *plugin = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    CHECK(plugin);
    give = (void *(*)(size_t))dlsym(plugin, "plugin_give");
    take = (void (*)(void *))dlsym(plugin, "plugin_take");
    CHECK(give && take);
    free(give(100));
    take(malloc(100));
    pthread_t threads[4];
    for (int t = 0; t < 4; t++) CHECK(!pthread_create(&threads[t], NULL, uses, NULL));
    for (int t = 0; t < 4; t++) pthread_join(threads[t], NULL);
    dlclose(plugin);
  }
}

// Threads that run on while the process exits.
static void *endless(void *seed) {
  for (;;) churner(seed);
  return NULL;
}
static void at_exit(void) {
  churn(17, 2000);
  puts("exits: ok");
}
static void exits(void) {
  atexit(at_exit);
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, endless, (void *)(uintptr_t)i));
  }
  usleep(20000);
  exit(0);
}

// Blocks that one thread allocates and another frees.
static void *passed[4096];
static void *taker(void *unused) {
  for (int i = 0; i < 4096; i++) free(passed[i]);
  return NULL;
}
static void hands_over(void) {
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < 4096; i++) passed[i] = malloc(8 + (size_t)i % 500);
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, taker, NULL));
    pthread_join(thread, NULL);
  }
  CHECK(mallinfo2().arena < 64 << 20);
}

int main(int count, char **words) {
  static const struct named_test tests[] = {
      {"threads-10000", threads_10000}, {"keys", keys_end}, {"background", background}, {"ages", ages}, {"locked", locked}, {"signals", signals},
      {"alternate-stacks", alternate_stacks}, {"phases", phases}, {"address-space", address_space}, {"exhausted", exhausted}, {"plugins", plugins}, {"exits", exits}, {"hands-over", hands_over}};
  run_named(count, words, tests, sizeof tests / sizeof *tests);
}
