// operator new and delete in every form, and the new-handler protocol.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include "check.h"

static int calls;
static void give_up() {
  if (++calls == 3) std::set_new_handler(nullptr);
}
static void throws() {
  calls++;
  throw std::bad_alloc();
}

struct Other : std::bad_alloc {};
static void throws_other() { throw Other(); }

// A handler that gives memory back, so that the next attempt is a success. Called with a limit that one of these blocks fits into.
static char *hoard;
static void gives_back() {
  calls++;
  CHECK(hoard);
  delete[] hoard;
  hoard = nullptr;
}
static void under_a_limit() {
  std::set_new_handler(gives_back);
  hoard = new char[OPAQUE(size_t(40) << 20)];
  char *block = new char[OPAQUE(size_t(40) << 20)];
  CHECK(calls == 1 && !hoard);
  hoard = block;
  block = new (std::nothrow) char[OPAQUE(size_t(40) << 20)];
  CHECK(block && calls == 2);
  delete[] block;
}

int main(int count, char **) {
  if (count > 1) return under_a_limit(), std::puts("operators: ok"), 0;
  const size_t absurd = OPAQUE(size_t(1) << 60);
  const auto aligned = std::align_val_t(OPAQUE(size_t(256)));
  // Every form allocates, and every form frees.
  for (size_t size : {0ul, 1ul, 24ul, 1000ul, 40000ul, 3000000ul}) {
    void *p;
    p = OPAQUE(operator new(size)), CHECK(p), operator delete(p);
    p = OPAQUE(operator new(size)), CHECK(p), operator delete(p, size);
    p = OPAQUE(operator new(size, std::nothrow)), CHECK(p), operator delete(p, std::nothrow);
    p = OPAQUE(operator new[](size)), CHECK(p), operator delete[](p);
    p = OPAQUE(operator new[](size)), CHECK(p), operator delete[](p, size);
    p = OPAQUE(operator new[](size, std::nothrow)), CHECK(p), operator delete[](p, std::nothrow);
    p = OPAQUE(operator new(size, aligned)), CHECK((uintptr_t)p % 256 == 0), operator delete(p, aligned);
    p = OPAQUE(operator new(size, aligned)), CHECK((uintptr_t)p % 256 == 0), operator delete(p, size, aligned);
    p = OPAQUE(operator new(size, aligned, std::nothrow)), CHECK((uintptr_t)p % 256 == 0), operator delete(p, aligned, std::nothrow);
    p = OPAQUE(operator new[](size, aligned)), CHECK((uintptr_t)p % 256 == 0), operator delete[](p, aligned);
    p = OPAQUE(operator new[](size, aligned)), CHECK((uintptr_t)p % 256 == 0), operator delete[](p, size, aligned);
    p = OPAQUE(operator new[](size, aligned, std::nothrow)), CHECK((uintptr_t)p % 256 == 0), operator delete[](p, aligned, std::nothrow);
  }
  operator delete(nullptr);
  operator delete[](nullptr, 8);
  // Without a handler: bad_alloc, or null.
  int caught = 0;
  try { OPAQUE(operator new(absurd)); } catch (const std::bad_alloc &) { caught++; }
  try { OPAQUE(operator new[](absurd)); } catch (const std::bad_alloc &) { caught++; }
  try { OPAQUE(operator new(absurd, aligned)); } catch (const std::bad_alloc &) { caught++; }
  try { OPAQUE(operator new[](absurd, aligned)); } catch (const std::bad_alloc &) { caught++; }
  // No block lies on such a boundary, not even one that was freed.
  const auto none = std::align_val_t(OPAQUE(size_t(1) << 63));
  try { OPAQUE(operator new(40000, none)); } catch (const std::bad_alloc &) { caught++; }
  CHECK(caught == 5 && !OPAQUE(operator new(40000, none, std::nothrow)));
  CHECK(!OPAQUE(operator new(absurd, std::nothrow)) && !OPAQUE(operator new[](absurd, aligned, std::nothrow)));
  // With one: it is called until it gives up.
  std::set_new_handler(give_up);
  try { OPAQUE(operator new(absurd)); } catch (const std::bad_alloc &) { caught++; }
  CHECK(caught == 6 && calls == 3);
  calls = 0;
  std::set_new_handler(give_up);
  CHECK(!OPAQUE(operator new(absurd, std::nothrow)) && calls == 3);
  // A handler that throws: passed on, or null.
  calls = 0;
  std::set_new_handler(throws);
  try { OPAQUE(operator new(absurd)); } catch (const std::bad_alloc &) { caught++; }
  CHECK(caught == 7 && calls == 1 && !OPAQUE(operator new(absurd, std::nothrow)) && calls == 2);
  std::set_new_handler(throws_other);
  try { OPAQUE(operator new(absurd, aligned)); } catch (const Other &) { caught++; }
  CHECK(caught == 8 && !OPAQUE(operator new[](absurd, std::nothrow)));
  std::puts("operators: ok");
}
