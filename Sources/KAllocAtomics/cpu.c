// Which CPU this is, whether restartable sequences run here, and barriers for other CPUs.

#define _GNU_SOURCE  // sched_getcpu

#include "KAllocAtomics.h"

bool ka_thread_sanitized(void) {
#if defined(KA_TSAN)
  return true;
#else
  return false;
#endif
}

#if defined(__linux__)

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>

#include "ka_syscall.h"

// glibc 2.35 and later register every thread; elsewhere (musl, older glibc) these are absent.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

// cpu_id and rseq_cs end at byte 16 of the area.
bool ka_rseq_available(void) { return &__rseq_size && &__rseq_offset && __rseq_size >= 16; }

void ka_rseq_adopt(void) {
  if (ka_rseq_available()) __atomic_store_n(&ka_rseq_offset, (uint64_t)__rseq_offset, __ATOMIC_RELEASE);
}

uint32_t ka_current_cpu(void) {
  if (ka_rseq_available()) {
    int32_t cpu = *(volatile int32_t *)((char *)__builtin_thread_pointer() + __rseq_offset + 4);
    if (cpu >= 0) return (uint32_t)cpu;
  }
  int cpu = sched_getcpu();
  return cpu < 0 ? 0 : (uint32_t)cpu;
}

bool ka_barrier_register(void) {
  ka_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
  return ka_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
}

ka_barrier ka_barrier_sections(int32_t cpu) {
  const long flags = cpu < 0 ? 0 : MEMBARRIER_CMD_FLAG_CPU;
  const long result = ka_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, flags, cpu < 0 ? 0 : cpu);
  return result == 0 ? KA_BARRIER_DONE : KA_BARRIER_UNAVAILABLE;
}

ka_barrier ka_barrier_threads(void) {
  const long result = ka_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  return result == 0 ? KA_BARRIER_DONE : KA_BARRIER_UNAVAILABLE;
}

#else

bool ka_rseq_available(void) { return false; }
void ka_rseq_adopt(void) {}
uint32_t ka_current_cpu(void) { return 0; }
bool ka_barrier_register(void) { return false; }
ka_barrier ka_barrier_sections(int32_t cpu) { return KA_BARRIER_UNAVAILABLE; }
ka_barrier ka_barrier_threads(void) { return KA_BARRIER_UNAVAILABLE; }

#endif
