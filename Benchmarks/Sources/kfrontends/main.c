// Why a CPU's cache is an array of pointers with a full-width top: the alternatives, side by side.
//
// Six front ends keep the free objects of one size, 64 bytes, for one CPU (or one thread), each behind two functions that
// are not inlined. None has a slow path: 4,096 objects are free at the start and the workloads never take more than
// 1,000. The four sections share their shape (publish the descriptor, read the CPU, find its place, commit with one
// store) and differ in how the free objects are kept.
//
//     pair      allocate, write a word, free
//     lifo      64 allocated, freed newest first
//     random    900 allocated, freed in shuffled order
//     evicted   the same, with 4 MiB of other memory read between the rounds
//
// Prints nanoseconds of the thread's own time per pair: medians of interleaved rounds.

#define _GNU_SOURCE

#if !defined(__x86_64__) || !defined(__linux__)
#error "The front ends are written for Linux on x86-64."
#endif

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OBJECT = 64, OBJECTS = 4096, CPUS = 1024, ROUNDS = 9, MOST = 900 };
enum { EVICTED_BYTES = 4 << 20 };

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
static uint64_t rseq_offset;

// What a CPU keeps: `top` is an address, an index or the first of a list, by the front end.
typedef struct {
  uint64_t top;
  uint64_t limit;
  void *slots[OBJECTS];
} __attribute__((aligned(4096))) place;

static place places[CPUS];
static _Thread_local place *thread_place __attribute__((tls_model("initial-exec")));
static char *arena;

#define NOINLINE __attribute__((noinline))

// 1: first instruction   2: behind the commit   3: descriptor   4: abort, which starts over
#define SECTION(WORK)                                                                                              \
  ".pushsection __rseq_cs, \"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"                \
  "5: leaq 3b(%%rip), %[p]\nmovq %[p], %%fs:8(%[rseq])\n"                                                          \
  "1: movl %%fs:4(%[rseq]), %k[p]\nimulq %[stride], %[p], %[p]\naddq %[places], %[p]\n" WORK                       \
  "2:\n.pushsection .text.abort, \"ax\"\n.byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n4: jmp 5b\n.popsection\n"
#define IN [rseq] "r"(rseq_offset), [places] "r"(places), [stride] "i"(sizeof(place)), [slots] "i"(offsetof(place, slots))

// Takes into `object`, or puts it; `word` is scratch.
#define TAKE(NAME, WORK)                                                                                           \
  static NOINLINE void *NAME(void) {                                                                               \
    uint64_t p, word;                                                                                              \
    void *object;                                                                                                  \
    __asm__ volatile(SECTION(WORK) : [p] "=&r"(p), [word] "=&r"(word), [object] "=&r"(object) : IN : "memory", "cc"); \
    return object;                                                                                                 \
  }
#define PUT(NAME, WORK)                                                                                            \
  static NOINLINE void NAME(void *object) {                                                                        \
    uint64_t p, word;                                                                                              \
    __asm__ volatile(SECTION(WORK) : [p] "=&r"(p), [word] "=&r"(word) : [object] "r"(object), IN : "memory", "cc"); \
  }

// The exits where there is nothing to take or no room stand for a slow path that the workloads never reach.
TAKE(pointer_take, "movq (%[p]), %[word]\ncmpq 8(%[p]), %[word]\njbe 2f\nmovq -8(%[word]), %[object]\naddq $-8, %[word]\nmovq %[word], (%[p])\n")
PUT(pointer_put, "movq (%[p]), %[word]\ntestq %[word], %[word]\nje 2f\nmovq %[object], (%[word])\naddq $8, %[word]\nmovq %[word], (%[p])\n")
TAKE(index32_take, "movl (%[p]), %k[word]\ncmpl 8(%[p]), %k[word]\njbe 2f\nmovq %c[slots]-8(%[p],%[word],8), %[object]\naddl $-1, %k[word]\nmovl %k[word], (%[p])\n")
PUT(index32_put, "movl (%[p]), %k[word]\ncmpl $4096, %k[word]\njae 2f\nmovq %[object], %c[slots](%[p],%[word],8)\naddl $1, %k[word]\nmovl %k[word], (%[p])\n")
TAKE(index16_take, "movzwl (%[p]), %k[word]\ncmpw 8(%[p]), %w[word]\njbe 2f\nmovq %c[slots]-8(%[p],%[word],8), %[object]\naddl $-1, %k[word]\nmovw %w[word], (%[p])\n")
PUT(index16_put, "movzwl (%[p]), %k[word]\ncmpl $4096, %k[word]\njae 2f\nmovq %[object], %c[slots](%[p],%[word],8)\naddl $1, %k[word]\nmovw %w[word], (%[p])\n")
TAKE(list_take, "movq (%[p]), %[object]\ntestq %[object], %[object]\nje 2f\nmovq (%[object]), %[word]\nmovq %[word], (%[p])\n")
PUT(list_put, "movq (%[p]), %[word]\nmovq %[word], (%[object])\nmovq %[object], (%[p])\n")

static NOINLINE void *thread_take(void) {
  void **object = (void **)thread_place->top;
  if (object) thread_place->top = (uint64_t)*object;
  return object;
}
static NOINLINE void thread_put(void *object) {
  *(void **)object = (void *)thread_place->top;
  thread_place->top = (uint64_t)object;
}

// A tagged list per CPU that any thread may touch: {first, tag}, exchanged as one.
static bool exchange(place *p, uint64_t first, uint64_t tag, uint64_t next) {
  bool done;
  __asm__ volatile("lock cmpxchg16b %1" : "=@ccz"(done), "+m"(*p), "+a"(first), "+d"(tag) : "b"(next), "c"(tag + 1) : "memory");
  return done;
}
static place *cpu_place(void) {
  return &places[*(volatile uint32_t *)((char *)__builtin_thread_pointer() + rseq_offset + 4)];
}
static NOINLINE void *locked_take(void) {
  for (;;) {
    place *p = cpu_place();
    uint64_t tag = *(volatile uint64_t *)&p->limit, first = *(volatile uint64_t *)&p->top;
    if (exchange(p, first, tag, *(volatile uint64_t *)first)) return (void *)first;
  }
}
static NOINLINE void locked_put(void *object) {
  for (;;) {
    place *p = cpu_place();
    uint64_t tag = *(volatile uint64_t *)&p->limit, first = *(volatile uint64_t *)&p->top;
    *(uint64_t *)object = first;
    if (exchange(p, first, tag, (uint64_t)object)) return;
  }
}

typedef struct {
  const char *name;
  void *(*take)(void);
  void (*put)(void *);
  enum { ADDRESS, INDEX, LIST } kind;
} front_end;

static const front_end front_ends[] = {
    {"pointer array, 64-bit top pointer", pointer_take, pointer_put, ADDRESS},
    {"pointer array, 32-bit index", index32_take, index32_put, INDEX},
    {"pointer array, 16-bit index", index16_take, index16_put, INDEX},
    {"intrusive list", list_take, list_put, LIST},
    {"thread-local intrusive list", thread_take, thread_put, LIST},
    {"per-CPU cmpxchg16b list", locked_take, locked_put, LIST},
};
enum { FRONT_ENDS = sizeof front_ends / sizeof *front_ends, WORKLOADS = 4 };

static void fill(const front_end *front, place *p) {
  for (int i = 0; i < OBJECTS; i++) {
    char *object = arena + (size_t)i * OBJECT;
    p->slots[i] = object;
    *(void **)object = i + 1 < OBJECTS ? object + OBJECT : NULL;
  }
  p->limit = front->kind == ADDRESS ? (uint64_t)p->slots : 0;
  p->top = front->kind == ADDRESS ? (uint64_t)(p->slots + OBJECTS) : front->kind == INDEX ? OBJECTS : (uint64_t)arena;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int shuffled[MOST];
static char *other;
static volatile char sink;

// Nanoseconds per pair.
static double measure(const front_end *front, int workload, int repeats) {
  static void *held[MOST];
  static const int counts[WORKLOADS] = {1, 64, MOST, MOST};
  const int count = counts[workload];
  double spent = 0;
  for (int r = 0; r < repeats / count; r++) {
    if (workload == 3)
      for (int i = 0; i < EVICTED_BYTES; i += 64) sink = other[i];
    double start = workload == 3 || r == 0 ? now() : 0;
    for (int i = 0; i < count; i++) {
      held[i] = front->take();
      *(volatile uint64_t *)held[i] = (uint64_t)i;
    }
    for (int i = 0; i < count; i++) front->put(held[workload < 2 ? count - 1 - i : shuffled[i]]);
    if (workload == 3) {
      spent += now() - start;
    } else if (r == 0) {
      spent = -start;
    }
  }
  if (workload != 3) spent += now();
  return spent / (double)(repeats / count * count);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(void) {
  if (!&__rseq_size || __rseq_size == 0) {
    fprintf(stderr, "kfrontends: the C library has not registered rseq here\n");
    return 1;
  }
  rseq_offset = (uint64_t)__rseq_offset;
  arena = aligned_alloc(4096, (size_t)OBJECTS * OBJECT);
  other = calloc(1, EVICTED_BYTES);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (!arena || !other || sched_setaffinity(0, sizeof one, &one) != 0) return 1;
  for (int i = 0; i < MOST; i++) shuffled[i] = i;
  uint64_t seed = 0x9e3779b97f4a7c15;
  for (int i = MOST - 1; i > 0; i--) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    int j = (int)((seed >> 33) % (uint64_t)(i + 1)), kept = shuffled[i];
    shuffled[i] = shuffled[j];
    shuffled[j] = kept;
  }
  static double figures[FRONT_ENDS][WORKLOADS][ROUNDS];
  thread_place = cpu_place();
  for (int round = -1; round < ROUNDS; round++) {
    for (int f = 0; f < FRONT_ENDS; f++) {
      for (int w = 0; w < WORKLOADS; w++) {
        fill(&front_ends[f], thread_place);
        double ns = measure(&front_ends[f], w, w == 3 ? 90000 : 900000);
        if (round >= 0) figures[f][w][round] = ns;
      }
    }
  }
  printf("| front end, ns per pair | pair | 64 LIFO | 900 random | evicted |\n|---|---|---|---|---|\n");
  for (int f = 0; f < FRONT_ENDS; f++) {
    printf("| %s |", front_ends[f].name);
    for (int w = 0; w < WORKLOADS; w++) {
      qsort(figures[f][w], ROUNDS, sizeof(double), ascending);
      printf(" %.1f |", figures[f][w][ROUNDS / 2]);
    }
    printf("\n");
  }
  return 0;
}
