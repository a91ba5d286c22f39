// The table behind `km_class_index`: the spacing of Slab's `SizeClass`, which `tests/family` compares with it.

#include "cmalloc.h"

// Four classes for each doubling: units 4 * unit + 1 … 8 * unit, the first of them number `first`.
#define KM_DOUBLING(unit, first)                 \
  [4 * (unit) + 1 ... 5 * (unit)] = (first),     \
  [5 * (unit) + 1 ... 6 * (unit)] = (first) + 1, \
  [6 * (unit) + 1 ... 7 * (unit)] = (first) + 2, \
  [7 * (unit) + 1 ... 8 * (unit)] = (first) + 3

const uint8_t km_class_table[2049] = {
    0, 0, 1, 2, 3, 4, 5, 6, 7,
    KM_DOUBLING(2, 8),
    KM_DOUBLING(4, 12),
    KM_DOUBLING(8, 16),
    KM_DOUBLING(16, 20),
    KM_DOUBLING(32, 24),
    KM_DOUBLING(64, 28),
    KM_DOUBLING(128, 32),
    KM_DOUBLING(256, 36),
};
