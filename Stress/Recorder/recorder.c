// Records what a program asks of malloc, realloc and free, for `kstress replay`.
//
// Preloaded into a program (LD_PRELOAD), it stands in front of the C library's allocator, passes every call on, and
// writes a trace: the format is described in ../Traces/FORMAT.md. Addresses do not leave the process: a block is
// known by the number of its allocation, and a table from address to number is kept here, in pages of our own.
//
//   KALLOC_TRACE=/abs/prefix      where to write: prefix.PID, or prefix.PID.N after an exec; unset: nothing is recorded
//   KALLOC_TRACE_BYTES=4194304    the bound on one file; recording stops there, and the header says so
//   KALLOC_TRACE_NOTE=text        goes into the header
//
// Order. One lock orders all events. A free is recorded before the block goes back to the C library, and an
// allocation after the C library gave the block out, so the allocation that reuses an address always comes later in
// the trace than the free that made it possible. realloc does both at once, so it holds the lock across the call.
//
// What is not seen: blocks from before the recorder was started (their frees are ignored), a forked child until it
// calls exec, and programs that bring their own allocator.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { HEADER_BYTES = 512, CHUNK_HEADER_BYTES = 16, CHUNK_BYTES = 65536, EVENT_BYTES = 40, NOTE_BYTES = 432 };
enum { OP_MALLOC, OP_CALLOC, OP_ALIGNED, OP_REALLOC, OP_FREE, OP_THREAD };
enum { FLAG_CUT = 1, FLAG_FINISHED = 2 };

struct header {
  char magic[8];
  uint32_t version, header_bytes, flags, threads;
  uint64_t events, blocks, peak_live_bytes, peak_live_blocks, chunks, file_bytes, header_hash;
  char note[NOTE_BYTES];
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header's layout is part of the format");

struct entry { uintptr_t address; uint64_t number, bytes; };

static struct header header;
static unsigned char chunk[CHUNK_BYTES + EVENT_BYTES];
static size_t chunk_used;
static uint32_t chunk_events;
static struct entry *table;
static size_t table_capacity, table_count;
static uint64_t live_bytes, bound = 4u << 20;
static uint32_t last_thread, thread_count;
static char path[4096];
static bool file_made;
static bool recording;          // read without the lock first: an early look that only saves time
static char lock_word;
static __thread uint32_t my_thread __attribute__((tls_model("initial-exec")));

static void lock(void) { while (__atomic_test_and_set(&lock_word, __ATOMIC_ACQUIRE)) sched_yield(); }
static void unlock(void) { __atomic_clear(&lock_word, __ATOMIC_RELEASE); }
static bool is_on(void) { return __atomic_load_n(&recording, __ATOMIC_RELAXED); }
static void switch_off(void) { __atomic_store_n(&recording, false, __ATOMIC_RELAXED); }

static uint64_t fnv1a(const void *bytes, size_t count) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < count; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
  return hash;
}

// The file: opened, appended to and closed for each chunk, so that a program that closes or reuses descriptors
// does no harm. The header is written again each time: a killed program leaves a whole trace of all but its end.

static bool open_file(int *descriptor) {
  size_t length = strlen(path);
  for (int attempt = 0; !file_made && attempt < 1000; attempt++) {
    if (attempt > 0) snprintf(path + length, sizeof path - length, ".%d", attempt);
    *descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (*descriptor >= 0) return file_made = true;
    if (errno != EEXIST) return false;
  }
  return (*descriptor = open(path, O_WRONLY | O_CLOEXEC)) >= 0;
}

static void flush_chunk(void) {
  int saved = errno, descriptor;
  if (!open_file(&descriptor)) { switch_off(); errno = saved; return; }
  if (chunk_used > 0) {
    struct { uint32_t bytes, events; uint64_t hash; } front = { chunk_used, chunk_events, fnv1a(chunk, chunk_used) };
    if (pwrite(descriptor, &front, sizeof front, header.file_bytes) != sizeof front
        || pwrite(descriptor, chunk, chunk_used, header.file_bytes + sizeof front) != (ssize_t)chunk_used) switch_off();
    header.file_bytes += sizeof front + chunk_used;
    header.chunks++;
    chunk_used = chunk_events = 0;
  }
  header.threads = thread_count;
  header.header_hash = 0;
  header.header_hash = fnv1a(&header, sizeof header);
  if (pwrite(descriptor, &header, sizeof header, 0) != sizeof header) switch_off();
  close(descriptor);
  errno = saved;
}

static void put_number(uint64_t value) {
  for (; value >= 0x80; value >>= 7) chunk[chunk_used++] = (unsigned char)value | 0x80;
  chunk[chunk_used++] = (unsigned char)value;
}

/// Makes room for one event and names its thread; false once the bound is reached, and then recording is over.
static bool begin_event(void) {
  if (header.file_bytes + CHUNK_HEADER_BYTES + chunk_used + EVENT_BYTES > bound) {
    header.flags |= FLAG_CUT | FLAG_FINISHED;
    switch_off();
    flush_chunk();
    return false;
  }
  if (chunk_used + EVENT_BYTES > CHUNK_BYTES) flush_chunk();
  if (my_thread == 0) my_thread = ++thread_count;
  if (my_thread != last_thread) put_number((uint64_t)(my_thread - 1) << 3 | OP_THREAD);
  last_thread = my_thread;
  header.events++;
  chunk_events++;
  return true;
}

// The table: open addressing, linear probing, deletion by shifting back, never more than half full.

static size_t home(uintptr_t address) { return (address >> 4) * 0x9e3779b97f4a7c15u >> 20 & (table_capacity - 1); }

static void insert(struct entry new_entry) {
  size_t slot = home(new_entry.address);
  while (table[slot].address != 0) slot = (slot + 1) & (table_capacity - 1);
  table[slot] = new_entry;
}

static bool grow_table(void) {
  size_t old_capacity = table_capacity, capacity = old_capacity ? old_capacity * 2 : 1u << 16;
  struct entry *old = table;
  void *pages = mmap(NULL, capacity * sizeof *table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  table = pages, table_capacity = capacity;
  for (size_t i = 0; i < old_capacity; i++) if (old[i].address != 0) insert(old[i]);
  if (old != NULL) munmap(old, old_capacity * sizeof *old);
  return true;
}

static bool take(void *block, struct entry *taken) {
  size_t mask = table_capacity - 1, slot = home((uintptr_t)block);
  while (table[slot].address != (uintptr_t)block) {
    if (table[slot].address == 0) return false;
    slot = (slot + 1) & mask;
  }
  *taken = table[slot];
  for (size_t next = (slot + 1) & mask; table[next].address != 0; next = (next + 1) & mask)
    if (((next - home(table[next].address)) & mask) >= ((next - slot) & mask)) table[slot] = table[next], slot = next;
  table[slot].address = 0;
  table_count--;
  live_bytes -= taken->bytes;
  return true;
}

static void add(void *block, size_t bytes) {
  if (table_count * 2 >= table_capacity && !grow_table()) { switch_off(); return; }
  insert((struct entry){ (uintptr_t)block, header.blocks++, bytes });
  live_bytes += bytes;
  if (++table_count > header.peak_live_blocks) header.peak_live_blocks = table_count;
  if (live_bytes > header.peak_live_bytes) header.peak_live_bytes = live_bytes;
}

static void record_allocation(int operation, void *block, size_t bytes, size_t alignment) {
  if (block == NULL || !is_on()) return;
  lock();
  if (is_on() && begin_event()) {
    put_number((uint64_t)bytes << 3 | (uint64_t)operation);
    if (operation == OP_ALIGNED) chunk[chunk_used++] = (unsigned char)__builtin_ctzll(alignment);
    add(block, bytes);
  }
  unlock();
}

static void record_free(void *block) {
  if (block == NULL || !is_on()) return;
  struct entry entry;
  lock();
  if (is_on() && take(block, &entry) && begin_event()) put_number((header.blocks - entry.number) << 3 | OP_FREE);
  unlock();
}

// The C library's names.

__attribute__((visibility("default"))) void *malloc(size_t bytes) {
  void *block = __libc_malloc(bytes);
  record_allocation(OP_MALLOC, block, bytes, 0);
  return block;
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes) {
  void *block = __libc_calloc(count, bytes);
  record_allocation(OP_CALLOC, block, count * bytes, 0);
  return block;
}

__attribute__((visibility("default"))) void free(void *block) {
  record_free(block);
  __libc_free(block);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t bytes) {
  if (old == NULL) return malloc(bytes);
  if (bytes == 0) { free(old); return NULL; }
  if (!is_on()) return __libc_realloc(old, bytes);
  lock();
  void *block = __libc_realloc(old, bytes);
  struct entry entry;
  if (block != NULL && is_on()) {
    bool known = take(old, &entry);
    if (begin_event()) {
      if (known) put_number((header.blocks - entry.number) << 3 | OP_REALLOC), put_number(bytes);
      else put_number((uint64_t)bytes << 3 | OP_MALLOC);
      add(block, bytes);
    }
  }
  unlock();
  return block;
}

__attribute__((visibility("default"))) void *reallocarray(void *old, size_t count, size_t bytes) {
  size_t total;
  if (__builtin_mul_overflow(count, bytes, &total)) { errno = ENOMEM; return NULL; }
  return realloc(old, total);
}

__attribute__((visibility("default"))) void *memalign(size_t alignment, size_t bytes) {
  void *block = __libc_memalign(alignment, bytes);
  record_allocation(OP_ALIGNED, block, bytes, alignment);
  return block;
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t bytes) {
  return memalign(alignment, bytes);
}

__attribute__((visibility("default"))) int posix_memalign(void **result, size_t alignment, size_t bytes) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  int saved = errno;
  void *block = memalign(alignment, bytes);
  errno = saved;
  if (block == NULL) return ENOMEM;
  *result = block;
  return 0;
}

// Beginning and end.

static void finish(void) {
  lock();
  if (is_on()) {
    switch_off();
    header.flags |= FLAG_FINISHED;
    if (header.events > 0) flush_chunk();
  }
  unlock();
}

__attribute__((visibility("default"), noreturn)) void _exit(int status) {
  finish();
  for (;;) syscall(SYS_exit_group, status);
}

__attribute__((visibility("default"), noreturn)) void _Exit(int status) { _exit(status); }

static void before_fork(void) { lock(); }
static void after_fork_parent(void) { unlock(); }
static void after_fork_child(void) { switch_off(); unlock(); }

__attribute__((constructor)) static void start(void) {
  const char *prefix = getenv("KALLOC_TRACE"), *bytes = getenv("KALLOC_TRACE_BYTES"), *note = getenv("KALLOC_TRACE_NOTE");
  if (prefix == NULL || prefix[0] != '/' || strlen(prefix) > sizeof path - 32) return;
  if (bytes != NULL && strtoull(bytes, NULL, 10) >= 4096) bound = strtoull(bytes, NULL, 10);
  snprintf(path, sizeof path, "%s.%d", prefix, (int)getpid());
  memcpy(header.magic, "KATRACE\n", 8);
  header.version = 1, header.header_bytes = header.file_bytes = HEADER_BYTES;
  if (note != NULL) strncpy(header.note, note, NOTE_BYTES - 1);
  if (!grow_table() || pthread_atfork(before_fork, after_fork_parent, after_fork_child) != 0) return;
  __atomic_store_n(&recording, true, __ATOMIC_RELEASE);
}

__attribute__((destructor)) static void stop(void) { finish(); }
