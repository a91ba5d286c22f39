// What a program may do to the options: run with more rights than its caller, lose its environment, reuse a descriptor.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include "check.h"

int main(int count, char **words) {
  CHECK(count > 1);
  free(OPAQUE(malloc(100)));
  if (!strcmp(words[1], "is")) {
    if (!getauxval(AT_SECURE)) return puts("not secure"), 0;
    int threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) threads += entry->d_name[0] != '.';
    closedir(tasks);
    printf("secure, %d thread%s\n", threads, threads == 1 ? "" : "s");
  }
  if (!strcmp(words[1], "forgets")) {
    // As a program does that writes its title there, and then sets up another environment.
    for (char **variable = environ; *variable; variable++) memset(*variable, 'x', strlen(*variable));
    clearenv();
    puts("ok");
  }
  if (!strcmp(words[1], "reuses")) {
    CHECK(count == 3);
    puts("ok");
    fflush(stdout);
    const int own = open(words[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (int file = 0; file < 1024; file++)
      if (file != own) close(file);
    for (int file = 0; file < 1024; file++)
      if (file != own) dup2(own, file);
    CHECK(write(own, "mine\n", 5) == 5);
  }
}
