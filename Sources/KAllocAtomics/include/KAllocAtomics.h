// The umbrella of the C target: what Swift imports as `KAllocAtomics`.

#ifndef KALLOCATOMICS_H
#define KALLOCATOMICS_H

#include "ka_atomics.h"
#include "ka_heap.h"
#include "ka_os.h"
#include "ka_rseq.h"
#include "ka_sanitizer.h"
#include "ka_system.h"

#endif
