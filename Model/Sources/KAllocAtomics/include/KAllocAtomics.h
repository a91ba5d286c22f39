// The umbrella of the simulated C target: the names of the real one, with other atomics and other sections.

#ifndef KALLOCATOMICS_H
#define KALLOCATOMICS_H

#include "ka_atomics.h"
#include "ka_heap.h"
#include "ka_os.h"
#include "ka_rseq.h"
#include "ka_system.h"
#include "km_machine.h"

#endif
