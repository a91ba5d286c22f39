// kproof-malloc signals|nested|fork SECONDS THREADS SEED INTERVAL LIMIT: the workload over malloc and free of whichever library was
// loaded first. Prints the library, then one line of figures. Status 0: nothing found wrong, 3: something, on the third line.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CProof.h"

int main(int count, char **arguments) {
  if (count != 7) return 64;
  cp_end_with_parent();
  cp_options options = {.seconds = atof(arguments[2]), .threads = atoi(arguments[3]), .seed = strtoull(arguments[4], NULL, 10),
                        .interval = atol(arguments[5])};
  cp_result result;
  printf("%s\n", cp_malloc_library());
  fflush(stdout);
  if (strcmp(arguments[1], "fork") != 0) {
    options.events = CP_TIMERS | CP_HANDLERS | (strcmp(arguments[1], "nested") == 0 ? CP_NESTED : 0);
    cp_run_churn(&cp_libc, &options, &result);
  } else {
    cp_run_fork(&cp_libc, &options, atoi(arguments[6]), &result);
  }
  printf("%llu %llu %llu %llu\n%s\n", (unsigned long long)result.operations, (unsigned long long)result.handlers,
         (unsigned long long)result.forks, (unsigned long long)result.nested, result.fault);
  return result.fault[0] ? 3 : 0;
}
