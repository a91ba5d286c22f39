// The machine's NUMA nodes, as libnuma reads them from the kernel's files.
//
// libnuma allocates with malloc when it is asked for a CPU's node or a distance, and the first allocation of a program
// may happen in a signal handler that interrupted malloc. So a constructor of the image asks for all of it, on machines
// with several nodes, and keeps the answers. Only a call from an even earlier constructor asks libnuma itself.

#include "KAllocAtomics.h"

#if defined(KA_NUMA)

#include <numa.h>

enum { CPUS = 8192, NODES = 64 };

static uint32_t nodes;  // 0: the tables are not written yet
static uint8_t node_of_cpu[CPUS];
static uint8_t distances[NODES][NODES];

static uint32_t ask_nodes(void) {
  if (numa_available() < 0) return 1;
  const int highest = numa_max_node();
  return highest < 0 ? 1 : highest < NODES ? (uint32_t)highest + 1 : NODES;
}

static uint32_t ask_node_of_cpu(uint32_t cpu, uint32_t count) {
  const int node = numa_node_of_cpu((int)cpu);
  return node < 0 ? 0 : (uint32_t)node < count ? (uint32_t)node : count - 1;
}

static uint32_t ask_distance(uint32_t left, uint32_t right) {
  // 0 where the kernel's table has no entry: as far as anything.
  const int found = numa_distance((int)left, (int)right);
  return found > 0 && found < 255 ? (uint32_t)found : 255;
}

__attribute__((constructor)) static void read_nodes(void) {
  const uint32_t count = ask_nodes();
  if (count > 1) {
    const uint32_t cpus = ka_os_cpu_limit();
    for (uint32_t cpu = 0; cpu < cpus && cpu < CPUS; cpu++) node_of_cpu[cpu] = (uint8_t)ask_node_of_cpu(cpu, count);
    for (uint32_t left = 0; left < count; left++) {
      for (uint32_t right = 0; right < count; right++) distances[left][right] = (uint8_t)ask_distance(left, right);
    }
  }
  __atomic_store_n(&nodes, count, __ATOMIC_RELEASE);
}

uint32_t ka_numa_nodes(void) {
  const uint32_t count = __atomic_load_n(&nodes, __ATOMIC_ACQUIRE);
  return count ? count : ask_nodes();
}

uint32_t ka_numa_node_of_cpu(uint32_t cpu) {
  const uint32_t count = __atomic_load_n(&nodes, __ATOMIC_ACQUIRE);
  if (!count) return ask_node_of_cpu(cpu, ask_nodes());
  return cpu < CPUS ? node_of_cpu[cpu] : 0;
}

uint32_t ka_numa_distance(uint32_t left, uint32_t right) {
  return __atomic_load_n(&nodes, __ATOMIC_ACQUIRE) ? distances[left][right] : ask_distance(left, right);
}

#else

uint32_t ka_numa_nodes(void) { return 1; }
uint32_t ka_numa_node_of_cpu(uint32_t cpu) { return (void)cpu, 0; }
uint32_t ka_numa_distance(uint32_t left, uint32_t right) { return left == right ? 10 : 255; }

#endif
