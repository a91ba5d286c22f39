// operator new and delete, replaced as [replacement.functions] allows: by their mangled names, in the Itanium C++ ABI. The
// new-handler and bad_alloc are in operators.cpp: an exception passes through that file's frames and none of Swift's.

import CMalloc
import Slab

@inline(__always)
private func new(_ size: Int) -> UnsafeMutableRawPointer? {
  #if !HARDENED
    if let block = unsafe cached(size) { return unsafe block }
  #endif
  return unsafe km_new_slow(size, Alignment.natural)
}

@inline(__always)
private func new(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  #if !HARDENED
    if let block = unsafe cached(size, alignment) { return unsafe block }
  #endif
  return unsafe km_new_slow(size, alignment)
}

@inline(__always)
private func newNothrow(_ size: Int) -> UnsafeMutableRawPointer? {
  #if !HARDENED
    if let block = unsafe cached(size) { return unsafe block }
  #endif
  return unsafe km_new_nothrow_slow(size, Alignment.natural)
}

@inline(__always)
private func delete(_ block: UnsafeMutableRawPointer?) {
  #if !HARDENED
    if Heap.global.deallocateCached(UInt(bitPattern: block)) { return }
  #endif
  unsafe freeSlow(block, .operatorDelete)
}

// MARK: new

@c(km__Znwm)
public func new_(_ size: Int) -> UnsafeMutableRawPointer? {
  km_mark_1()
  return unsafe new(size)
}
@c(km__Znam)
public func newArray(_ size: Int) -> UnsafeMutableRawPointer? {
  km_mark_2()
  return unsafe new(size)
}
@c(km__ZnwmRKSt9nothrow_t)
public func newNothrow(_ size: Int, _ tag: UnsafeRawPointer?) -> UnsafeMutableRawPointer? { unsafe newNothrow(size) }
@c(km__ZnamRKSt9nothrow_t)
public func newArrayNothrow(_ size: Int, _ tag: UnsafeRawPointer?) -> UnsafeMutableRawPointer? {
  unsafe newNothrow(size)
}

@c(km__ZnwmSt11align_val_t)
public func newAligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  unsafe new(size, alignment)
}
@c(km__ZnamSt11align_val_t)
public func newArrayAligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  unsafe new(size, alignment)
}
@c(km__ZnwmSt11align_val_tRKSt9nothrow_t)
public func newAlignedNothrow(_ size: Int, _ alignment: Int, _ tag: UnsafeRawPointer?) -> UnsafeMutableRawPointer? {
  unsafe km_new_nothrow_slow(size, alignment)
}
@c(km__ZnamSt11align_val_tRKSt9nothrow_t)
public func newArrayAlignedNothrow(_ size: Int, _ alignment: Int, _ tag: UnsafeRawPointer?) -> UnsafeMutableRawPointer?
{
  unsafe km_new_nothrow_slow(size, alignment)
}

// MARK: delete. Sizes and alignments are not trusted: the block's own are looked up.

@c(km__ZdlPv)
public func delete_(_ block: UnsafeMutableRawPointer?) {
  km_mark_3()
  unsafe delete(block)
}
@c(km__ZdaPv)
public func deleteArray(_ block: UnsafeMutableRawPointer?) {
  km_mark_4()
  unsafe delete(block)
}
@c(km__ZdlPvRKSt9nothrow_t)
public func deleteNothrow(_ block: UnsafeMutableRawPointer?, _ tag: UnsafeRawPointer?) { unsafe delete(block) }
@c(km__ZdaPvRKSt9nothrow_t)
public func deleteArrayNothrow(_ block: UnsafeMutableRawPointer?, _ tag: UnsafeRawPointer?) { unsafe delete(block) }
@c(km__ZdlPvm)
public func deleteSized(_ block: UnsafeMutableRawPointer?, _ size: Int) {
  km_mark_5()
  unsafe delete(block)
}
@c(km__ZdaPvm)
public func deleteArraySized(_ block: UnsafeMutableRawPointer?, _ size: Int) {
  km_mark_6()
  unsafe delete(block)
}
@c(km__ZdlPvSt11align_val_t)
public func deleteAligned(_ block: UnsafeMutableRawPointer?, _ alignment: Int) { unsafe delete(block) }
@c(km__ZdaPvSt11align_val_t)
public func deleteArrayAligned(_ block: UnsafeMutableRawPointer?, _ alignment: Int) { unsafe delete(block) }
@c(km__ZdlPvSt11align_val_tRKSt9nothrow_t)
public func deleteAlignedNothrow(_ block: UnsafeMutableRawPointer?, _ alignment: Int, _ tag: UnsafeRawPointer?) {
  unsafe delete(block)
}
@c(km__ZdaPvSt11align_val_tRKSt9nothrow_t)
public func deleteArrayAlignedNothrow(_ block: UnsafeMutableRawPointer?, _ alignment: Int, _ tag: UnsafeRawPointer?) {
  unsafe delete(block)
}
@c(km__ZdlPvmSt11align_val_t)
public func deleteSizedAligned(_ block: UnsafeMutableRawPointer?, _ size: Int, _ alignment: Int) {
  unsafe delete(block)
}
@c(km__ZdaPvmSt11align_val_t)
public func deleteArraySizedAligned(_ block: UnsafeMutableRawPointer?, _ size: Int, _ alignment: Int) {
  unsafe delete(block)
}
