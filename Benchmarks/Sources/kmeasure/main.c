// Runs a program and says what it took: kmeasure PROGRAM ARGUMENT…. Prints nanoseconds on the clock, nanoseconds of CPU time, and
// the largest resident set in bytes, of the program and what it started and waited for. A process of its own, because a child's
// largest set begins with that of the process that made it: this one is small.

#define _GNU_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double nanoseconds(struct timeval time) { return time.tv_sec * 1e9 + time.tv_usec * 1e3; }

int main(int count, char **words) {
  if (count < 2) return 64;
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  const pid_t child = fork();
  if (child == 0) {
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    execvp(words[1], words + 1);
    _exit(127);
  }
  int status;
  struct rusage use;
  if (child < 0 || wait4(child, &status, 0, &use) != child) return 1;
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (status != 0) return 1;
  printf("%.0f %.0f %.0f\n", (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec),
         nanoseconds(use.ru_utime) + nanoseconds(use.ru_stime), use.ru_maxrss * 1024.0);
  return 0;
}
