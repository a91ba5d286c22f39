// Who called: the return addresses of a sampled allocation, and what a thread knows of its samples.
//
//     km_stack ◀─ allocator's functions ◀─ program's functions
//                 frame pointers           the unwinder that the program's compiler came with, which reads tables
//
// The allocator's functions are Embedded Swift: they keep frame pointers and have no tables. Most programs are the other way round.
// So the walk changes over at the boundary, which is where `link` has put this object's code: by a function whose own entry in the
// tables says that its caller is the program's (`km_unwind_from`).
//
// The unwinder is found before `main` and asked for a stack once, so that it loads nothing later. What it might allocate after
// all is not sampled (`busy`).

#define _GNU_SOURCE

#include <dlfcn.h>
#include <unwind.h>

#include "cmalloc.h"

typedef _Unwind_Reason_Code (*km_unwinder)(_Unwind_Trace_Fn, void *);
typedef _Unwind_Word (*km_address)(struct _Unwind_Context *);

_Unwind_Reason_Code _Unwind_Backtrace(_Unwind_Trace_Fn, void *) __attribute__((weak));
_Unwind_Word _Unwind_GetIP(struct _Unwind_Context *) __attribute__((weak));

/// The section of this object's code; the linker's.
extern const char __start_kalloc_text[] KM_HIDDEN, __stop_kalloc_text[] KM_HIDDEN;

static km_unwinder unwinder;
static km_address address_of;
static _Thread_local km_samples samples __attribute__((tls_model("initial-exec")));

km_samples *km_thread_samples(void) { return &samples; }

/// Where the program called the allocator.
typedef struct {
  uint64_t return_address, stack, frame;
} km_caller;

typedef struct {
  uint64_t *frames;
  size_t count, limit;
} km_walk;

static bool is_own(uint64_t address) {
  return address >= (uint64_t)__start_kalloc_text && address < (uint64_t)__stop_kalloc_text;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *argument) {
  km_walk *walk = argument;
  const uint64_t address = address_of(context);
  if (address == 0 || walk->count == walk->limit) return _URC_END_OF_STACK;
  if (!is_own(address)) walk->frames[walk->count++] = address;
  return _URC_NO_REASON;
}

#if defined(__x86_64__)
/// Calls `unwind(step, walk)`. To the unwinder this function's caller is `caller`: its canonical frame address, return address and
/// frame pointer are found through rbx, which points there; rbx as the program left it is not known.
void km_unwind_from(const km_caller *caller, km_unwinder unwind, _Unwind_Trace_Fn step, km_walk *walk) KM_HIDDEN;
__asm__(
    ".text\n"
    ".hidden km_unwind_from\n"
    ".globl km_unwind_from\n"
    ".type km_unwind_from, @function\n"
    "km_unwind_from:\n"
    "  .cfi_startproc\n"
    "  push %rbx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  mov %rdi, %rbx\n"
    "  mov %rsi, %rax\n"
    "  mov %rdx, %rdi\n"
    "  mov %rcx, %rsi\n"
    "  .cfi_remember_state\n"
    "  .cfi_escape 0x0f, 3, 0x73, 8, 0x06\n"   // DW_CFA_def_cfa_expression: *(rbx + 8)
    "  .cfi_escape 0x10, 16, 2, 0x73, 0\n"     // DW_CFA_expression: the return address is at rbx
    "  .cfi_escape 0x10, 6, 2, 0x73, 16\n"     // rbp is at rbx + 16
    "  .cfi_undefined %rbx\n"
    "  call *%rax\n"
    "  .cfi_restore_state\n"
    "  pop %rbx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size km_unwind_from, . - km_unwind_from\n");
#else
static void km_unwind_from(const km_caller *caller, km_unwinder unwind, _Unwind_Trace_Fn step, km_walk *walk) {
  // Elsewhere only the caller is known.
  step = 0, unwind = 0;
  if (walk->limit > 0) walk->frames[walk->count++] = caller->return_address;
}
#endif

size_t km_stack(uint64_t *frames, size_t limit) {
  const uint64_t *frame = __builtin_frame_address(0);
  while (is_own(frame[1])) frame = (const uint64_t *)frame[0];
  const km_caller caller = {frame[1], (uint64_t)(frame + 2), frame[0]};
  km_walk walk = {frames, 0, limit};
  if (unwinder) km_unwind_from(&caller, unwinder, step, &walk);
  // Before `km_stack_begin`: the dynamic linker's own allocations and the first constructors.
  if (walk.count == 0) frames[walk.count++] = caller.return_address;
  return walk.count;
}

void km_stack_begin(void) {
  km_unwinder found = _Unwind_Backtrace;
  address_of = _Unwind_GetIP;
  if (!found || !address_of) {
    void *library = dlopen("libgcc_s.so.1", RTLD_LAZY);
    if (!library) return;
    found = (km_unwinder)dlsym(library, "_Unwind_Backtrace");
    address_of = (km_address)dlsym(library, "_Unwind_GetIP");
    if (!address_of) return;
  }
  uint64_t frames[4];
  km_walk first = {frames, 0, 4};
  if (found) found(step, &first);
  unwinder = found;
}
