// What the allocator asks of the operating system: address space, pages, barriers, topology files, the environment.
//
// Every call is a raw system call: none touches errno, none allocates, and all may be made from a signal handler.
// Where there is no operating system each function fails (or does nothing) in the way its comment names.

#ifndef KA_OS_H
#define KA_OS_H

#include "ka_types.h"

/// Bytes in the smallest unit that the operating system maps.
#define KA_OS_PAGE_BYTES 4096

/// Address space without memory behind it, `alignment` a power of two of at least a page. NULL where refused.
void *_Nullable ka_os_reserve(size_t bytes, size_t alignment);

/// Zeroed, readable and writable pages, backed on first touch and not counted as committed before. NULL where refused.
void *_Nullable ka_os_map(size_t bytes, size_t alignment);

/// Makes a part of a reservation readable and writable. False where refused, and then nothing has changed.
bool ka_os_commit(void *_Nonnull address, size_t bytes);

/// Makes whole pages of a reservation readable only, where they read as zero and take no memory, from `mlockall` only page tables;
/// `ka_os_commit` makes them writable.
/// False where refused.
bool ka_os_read_only(void *_Nonnull address, size_t bytes);

/// Gives the memory of whole pages back; they stay mapped and read as zero. False where refused.
bool ka_os_purge(void *_Nonnull address, size_t bytes);

/// Ranges of whole pages. Few, as the list stands on the stack, which may be a signal handler's.
#define KA_OS_RANGES 64

typedef struct {
  struct {
    uintptr_t address;
    size_t bytes;
  } ranges[KA_OS_RANGES];
  size_t count;
} ka_os_ranges;

/// Adds a range behind the last one, which grows where the two are adjacent. Only while there are fewer than KA_OS_RANGES.
static inline void ka_os_ranges_add(ka_os_ranges *_Nonnull list, uintptr_t address, size_t bytes) {
  if (list->count > 0 && list->ranges[list->count - 1].address + list->ranges[list->count - 1].bytes == address) {
    list->ranges[list->count - 1].bytes += bytes;
  } else {
    list->ranges[list->count].address = address;
    list->ranges[list->count++].bytes = bytes;
  }
}

/// As `ka_os_purge` for all ranges, with one call where the kernel can (since Linux 6.13 or soon after): each call makes every CPU that runs the
/// process flush its addresses. False where one was refused; others may have been given back.
bool ka_os_purge_ranges(const ka_os_ranges *_Nonnull list);

/// Ends a mapping or a part of it.
void ka_os_unmap(void *_Nonnull address, size_t bytes);

/// Resizes a mapping of `ka_os_map`, moving it where `may_move`. NULL where refused: the old mapping stands.
void *_Nullable ka_os_remap(void *_Nonnull address, size_t bytes, size_t new_bytes, bool may_move);

/// Asks that these pages come from `node`: only from it where `strict`, from it first otherwise. False where refused.
bool ka_os_bind(void *_Nonnull address, size_t bytes, uint32_t node, bool strict);

/// Keeps transparent huge pages away from a range of small, sparsely touched metadata.
void ka_os_no_huge_pages(void *_Nonnull address, size_t bytes);

/// Under AddressSanitizer, tells its leak detection to look for pointers in what is readable of a range that blocks are cut
/// from: the only reference to an instance of a class may be in a box. It looks at freed blocks as well. Elsewhere nothing.
void ka_os_blocks_begin(void *_Nonnull address, size_t bytes);

/// Undoes one `ka_os_blocks_begin` of the same range.
void ka_os_blocks_end(void *_Nonnull address, size_t bytes);

/// One more than the highest CPU number that this machine can ever have, or a larger number where that is unknown.
uint32_t ka_os_cpu_limit(void);

/// The machine's NUMA nodes, up to the highest number, at most 64; 1 where there is no NUMA or no libnuma.
uint32_t ka_numa_nodes(void);

/// The node that a CPU is on. Only where there are several nodes, as the next.
uint32_t ka_numa_node_of_cpu(uint32_t cpu);

/// How far memory on `right` is from a CPU on `left`, in the unit of the ACPI tables: 10 is local, 255 unknown.
uint32_t ka_numa_distance(uint32_t left, uint32_t right);

/// Bytes of physical memory; 0 where unknown.
uint64_t ka_os_physical_bytes(void);

/// Milliseconds of a clock that never goes back; 0 where there is none.
uint64_t ka_os_milliseconds(void);

/// The value of an environment variable, or NULL.
const char *_Nullable ka_os_environment(const char *_Nonnull name);

/// Ends the process with a core dump, where the system makes them: SIGABRT, or a trap.
_Noreturn void ka_os_abort(void);

/// Writes one line to standard error, best effort.
void ka_os_report(const char *_Nonnull text, size_t bytes);

/// The same, but for the first call only.
void ka_os_report_once(const char *_Nonnull text, size_t bytes);

#endif
