// What the options' tests do: one for each argument.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/auxv.h>
#include "check.h"

/// Whether this program runs with more rights than its caller, and how many threads it has then.
static void is(void) {
  free(OPAQUE(malloc(100)));
  if (!getauxval(AT_SECURE)) {
    puts("not secure");
    return;
  }
  int threads = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks);
  for (struct dirent *entry; (entry = readdir(tasks));) threads += entry->d_name[0] != '.';
  closedir(tasks);
  printf("secure, %d thread%s\n", threads, threads == 1 ? "" : "s");
}

/// Loses its environment, as a program does that writes its title there and then sets up another one.
static void forgets(void) {
  for (char **variable = environ; *variable; variable++) memset(*variable, 'x', strlen(*variable));
  clearenv();
  puts("ok");
}

/// Closes everything, and has a file of its own at each descriptor when it exits.
static void reuses(const char *path) {
  puts("ok");
  fflush(stdout);
  const int own = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  for (int file = 0; file < 1024; file++)
    if (file != own) close(file);
  for (int file = 0; file < 1024; file++)
    if (file != own) dup2(own, file);
  CHECK(write(own, "mine\n", 5) == 5);
}

/// Blocks of two sizes stay, others do not.
static void leaks(void) {
  for (int i = 0; i < 7; i++) OPAQUE(malloc(28000));
  for (int i = 0; i < 3; i++) OPAQUE(malloc(200000));
  for (int i = 0; i < 1000; i++) free(OPAQUE(malloc(20000))), free(OPAQUE(malloc(36000)));
}

/// A double free that nothing has come across when the program exits.
static void twice(void) {
  void *first = OPAQUE(malloc(100)), *second = OPAQUE(malloc(100));
  free(first), free(second), free(OPAQUE(first));
}

/// A write after a free that nothing has come across when the program exits.
static void late(void) {
  char *block = OPAQUE(malloc(100));
  free(block);
  OPAQUE(block)[50] = 1;
}

/// Says which of thirty allocations fail, of 3000, 5000 and 7000 bytes in turn.
static void faults(void) {
  char text[32] = {0};
  for (int i = 0; i < 10; i++) {
    errno = 0;
    void *blocks[3] = {OPAQUE(malloc(3000)), OPAQUE(calloc(10, 500)), OPAQUE(realloc(NULL, 7000))};
    CHECK((!blocks[0] || !blocks[1] || !blocks[2]) == (errno == ENOMEM));
    for (int kind = 0; kind < 3; kind++) text[i * 3 + kind] = blocks[kind] ? '.' : 'x', free(blocks[kind]);
  }
  puts(text);
}

int main(int count, char **words) {
  CHECK(count > 1);
  const char *what = words[1];
  if (!strcmp(what, "is")) is();
  if (!strcmp(what, "forgets")) forgets();
  if (!strcmp(what, "reuses")) CHECK(count == 3), reuses(words[2]);
  if (!strcmp(what, "leaks")) leaks();
  if (!strcmp(what, "twice")) twice();
  if (!strcmp(what, "late")) late();
  if (!strcmp(what, "faults")) faults();
  if (!strcmp(what, "statistics")) malloc_stats();
}
