// The cold half of operator new: the new-handler and the exception, as [new.delete.single] says.
//
// The C++ runtime is the program's, whichever it has: everything of it is referred to weakly, so that a C program can do
// without. Where it was loaded for a plug-in only, and so is not found that way, its library is asked by name.

#include <dlfcn.h>

#include <new>

extern "C" {
#include "cmalloc.h"
}

asm(".weak _ZTISt9bad_alloc, _ZTVSt9bad_alloc, _ZNSt9bad_allocD1Ev, __gxx_personality_v0\n"
    ".weak __cxa_allocate_exception, __cxa_throw, __cxa_begin_catch, __cxa_end_catch, __cxa_rethrow\n"
    ".weak _Unwind_Resume, _ZSt9terminatev, _ZSt15get_new_handlerv, _ZNSt9bad_allocC1Ev, __cxa_call_terminate\n");

extern "C" {
void *km_allocate(size_t size, size_t alignment) KM_HIDDEN;
void __cxa_throw(void *, void *, void (*)(void *)) __attribute__((weak));
void km_throw_plugin() asm("_ZSt17__throw_bad_allocv") __attribute__((weak));
}

namespace std {
__attribute__((weak)) new_handler get_new_handler() noexcept;
}

namespace {

using Thrower = void (*)();
using Getter = std::new_handler (*)();

void *plugin(const char *name) {
  static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
  for (const char *library : libraries) {
    if (void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD)) {
      void *found = dlsym(handle, name);
      dlclose(handle);
      if (found) return found;
    }
  }
  return nullptr;
}

std::new_handler handler() {
  Getter getter = std::get_new_handler;
  if (!getter) getter = reinterpret_cast<Getter>(plugin("_ZSt15get_new_handlerv"));
  return getter ? getter() : nullptr;
}

[[noreturn]] void fail() {
  Thrower thrower = km_throw_plugin;
  if (thrower) thrower();
  void (*raise)(void *, void *, void (*)(void *)) = __cxa_throw;
  if (raise) throw std::bad_alloc();
  thrower = reinterpret_cast<Thrower>(plugin("_ZSt17__throw_bad_allocv"));
  if (thrower) thrower();
  static const char text[] = "kalloc: operator new: out of memory, and no C++ runtime to throw bad_alloc with\n";
  km_write(2, text, sizeof text - 1);
  km_abort();
}

}  // namespace

extern "C" void *km_new_slow(size_t size, size_t alignment) {
  for (;;) {
    if (void *block = km_allocate(size, alignment)) return block;
    const std::new_handler call = handler();
    if (!call) fail();
    call();
  }
}

extern "C" void *km_new_nothrow_slow(size_t size, size_t alignment) {
  for (;;) {
    if (void *block = km_allocate(size, alignment)) return block;
    const std::new_handler call = handler();
    if (!call) return nullptr;
    try {
      call();
    } catch (const std::bad_alloc &) {
      return nullptr;
    }
  }
}
