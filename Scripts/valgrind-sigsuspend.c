// Loaded before libdispatch by Scripts/test-valgrind. Valgrind 3.19 writes to the mask that a program gives to `sigsuspend`;
// libdispatch gives a constant one, and valgrind itself dies. Here the mask is a copy that it may write to.

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask) {
  sigset_t copy = *mask;
  return (int)syscall(SYS_rt_sigsuspend, &copy, 8);
}
