// Restartable sections under the names that the shipped sources use: sequences of single accesses by the machine, which
// drops the rest of one, its commit included, when another thread of the same CPU ran in between or a barrier hit the
// CPU. See Sections.swift in Explorer.

#ifndef KA_RSEQ_H
#define KA_RSEQ_H

#include "ka_heap.h"

static inline bool ka_sections_usable(void) { return ka_rseq_available(); }
static inline void ka_stack_stopped(void *_Nonnull stack) {}

uint64_t ka_section_pop(ka_heap *_Nonnull heap, uint64_t stack);
bool ka_section_push(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object);
bool ka_section_free(ka_heap *_Nonnull heap, uint64_t address);
bool ka_section_free_to(ka_heap *_Nonnull heap, uint64_t address, uint64_t stack);
bool ka_section_push_room(ka_heap *_Nonnull heap, uint64_t stack, uint64_t object);
uint64_t ka_section_pop_batch(ka_heap *_Nonnull heap, uint64_t stack, uint64_t *_Nonnull target, uint64_t limit);
uint64_t ka_section_push_batch(
    ka_heap *_Nonnull heap, uint64_t stack, const uint64_t *_Nonnull source_end, uint64_t limit);
bool ka_section_replace(
    ka_heap *_Nonnull heap, uint64_t cpu, uint64_t guard_offset, uint64_t guard, uint64_t offset, uint64_t expected,
    uint64_t desired);

#endif
