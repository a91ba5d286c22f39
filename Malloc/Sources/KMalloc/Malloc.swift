// The C library's allocation functions, on the global heap.
//
//     malloc  ─ size ─▶ class (a table) ─▶ section: pop from this CPU's stack ─▶ return
//     free    ─ address ─▶ owner byte ─▶ class ─▶ section: push ─▶ return
//
// Everything else is out of line: the first call of all, an empty or full stack, large blocks, failures, misuse. A program
// that asks for fault injection or a heap profile gets the `thread` mode, in which every call takes the slow half.
//
// Each function here has the name that C knows behind `km_`: a compiler that meets a function called `malloc` believes to
// know what it does. `link` renames the symbols.
//
// What the C library documents and programs rely on: 16-byte alignment; a size of 0 gives a block of its own; more than
// PTRDIFF_MAX and overflowing products are refused with ENOMEM; `free` leaves errno alone; `realloc(p, 0)` frees.
// glibc's manual, "Replacing malloc" and "Allocating Storage".

import CMalloc
import Slab

#if !HARDENED

  @c(km_malloc)
  public func malloc(_ size: Int) -> UnsafeMutableRawPointer? {
    if let block = unsafe cached(size) { return unsafe block }
    return unsafe mallocSlow(size)
  }

  @c(km_free)
  public func free(_ block: UnsafeMutableRawPointer?) {
    // No test for NULL: address 0 lies in no window, and the slow half knows it.
    if Heap.global.deallocateCached(UInt(bitPattern: block)) { return }
    unsafe freeSlow(block, .free)
  }

  @c(km_calloc)
  public func calloc(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
    let (bytes, overflow) = UInt(bitPattern: count).multipliedReportingOverflow(by: UInt(bitPattern: size))
    guard !overflow, let total = Int(exactly: bytes) else { return unsafe refused() }
    if let block = unsafe cached(total) {
      unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: total)
      return unsafe block
    }
    return unsafe callocSlow(total)
  }

  // Of one argument and called as C is, so that each is a jump.
  @c(km_malloc_slow) @inline(never)
  public func mallocSlow(_ size: Int) -> UnsafeMutableRawPointer? {
    if let block = unsafe Heap.global.allocateCached(large: size) { return unsafe block }
    return unsafe allocateSlow(size, Alignment.natural, zero: false)
  }

  @c(km_calloc_slow) @inline(never)
  public func callocSlow(_ size: Int) -> UnsafeMutableRawPointer? {
    unsafe allocateSlow(size, Alignment.natural, zero: true)
  }

  /// A block from this CPU's cache; `nil`: ask `allocateSlow`. `alignment` is a power of two.
  @inline(__always)
  func cached(_ size: Int, _ alignment: Int = Alignment.natural) -> UnsafeMutableRawPointer? {
    guard let sizeClass = SizeClass(size: size, alignment: alignment) else { return nil }
    return unsafe Heap.global.allocateCached(sizeClass)
  }

  /// The cold half of every allocation: makes the heap at the first, injects faults, sets errno.
  @inline(never)
  func allocateSlow(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
    Start.ensure()
    if Faults.areArmed && Faults.fail(size) { return unsafe refused() }
    let flags: AllocFlags = zero ? [.reclaim, .zero] : .kernel
    do {
      let block = unsafe try Heap.global.allocate(size: size == 0 ? 1 : size, alignment: alignment, flags: flags, node: nil)
      if Profile.isOn, let address = block.baseAddress { unsafe Profile.allocated(address, size) }
      return block.baseAddress
    } catch {
      return unsafe refused()
    }
  }

  /// The cold half of every free.
  @inline(never)
  func freeSlow(_ block: UnsafeMutableRawPointer?, _ call: Call) {
    guard let block = unsafe block else { return }
    if Profile.isOn { _ = unsafe Profile.forget(block) }
    if let fault = unsafe Heap.global.deallocateUnsized(block) { call.fail(fault, UInt(bitPattern: block)) }
  }

  @c(km_malloc_usable_size)
  public func mallocUsableSize(_ block: UnsafeMutableRawPointer?) -> Int {
    guard let block = unsafe block else { return 0 }
    if let size = unsafe Heap.global.usableSize(of: block) { return size }
    Call.mallocUsableSize.fail(.foreign, UInt(bitPattern: block))
  }

  @inline(never)
  func reallocateSlow(_ block: UnsafeMutableRawPointer, _ size: Int, _ call: Call) -> UnsafeMutableRawPointer? {
    if Faults.areArmed && Faults.fail(size) { return unsafe refused() }
    let sampled = Profile.isOn ? unsafe Profile.forget(block) : nil
    do {
      if let moved = unsafe try Heap.global.reallocateUnsized(block, newSize: size) {
        if Profile.isOn { unsafe Profile.allocated(moved, size) }
        return unsafe moved
      }
    } catch {
      if sampled != nil { unsafe Profile.remember(block, sampled) }
      return unsafe refused()
    }
    call.fail(.foreign, UInt(bitPattern: block))
  }

  /// An object that grows within its class stays, as one does that shrinks by less than a half; others move by way of this CPU's
  /// cache. Everything else is the slow half's, which does the same and more.
  @inline(__always)
  func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int, _ call: Call) -> UnsafeMutableRawPointer? {
    if let usable = unsafe Heap.global.usableSize(of: block), unsafe usable <= SizeClass.maximumBytes && !intercepts {
      if size <= usable && size > usable / 2 { return unsafe block }
      if let moved = unsafe cached(size) {
        unsafe moved.copyMemory(from: block, byteCount: min(usable, size))
        if !Heap.global.deallocateCached(UInt(bitPattern: block)) { unsafe freeSlow(block, call) }
        return unsafe moved
      }
    }
    return unsafe reallocateSlow(block, size, call)
  }

#endif

/// Gives the heap what only the hardened variant has from it.
@inline(__always)
func releaseHeldBack() {
  #if HARDENED
    _ = Hardened.drain()
  #endif
}

/// ENOMEM and NULL.
@inline(never)
func refused() -> UnsafeMutableRawPointer? {
  km_set_errno(ENOMEM)
  return nil
}

/// A block on a boundary, a power of two.
@inline(__always)
func allocateAligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  #if !HARDENED
    if let block = unsafe cached(size, alignment) { return unsafe block }
  #endif
  return unsafe allocateSlow(size, alignment, zero: false)
}

enum Alignment {
  /// What every block has.
  static var natural: Int { 16 }
  static var page: Int { 4096 }
}

/// For the C++ operators: `km_new_slow`.
@c(km_allocate)
public func allocate(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  unsafe allocateSlow(size, alignment, zero: false)
}
