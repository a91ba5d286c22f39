// The C-shaped way in: sizes and pointers, `nil` for every failure. Blocks are those of `Kmalloc`.
//
// None of these throws inside, so that they may be called from a signal handler whatever hook the runtime has for errors
// (see Heap+Allocate.swift in Slab).

import KAllocAtomics
import Slab

/// Allocates `size` bytes of ``Kmalloc``; not initialised.
///
/// Use ``Allocator/allocate(_:flags:node:)`` to learn why it failed, or how much of the block is usable.
///
/// - Parameters:
///   - size: In bytes. 0 succeeds with an address that must not be read or written.
///   - alignment: In bytes, a power of two.
/// - Returns: The block; `nil` if there is no memory, the size is negative or the alignment is no power of two.
/// - Complexity: O(1) but for refills
///
/// Thread-safety: Concurrent.
@inlinable @inline(__always)
public func alloc(_ size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer? {
  // The class of a size also says that the size is positive, and the alignment.
  guard alignment & (alignment &- 1) == 0, let sizeClass = SizeClass(size: size, alignment: alignment) else {
    return unsafe allocSlow(size, alignment)
  }
  return unsafe Heap.global.allocate(sizeClass)
}

/// What no size class serves: no bytes, large blocks, and what is refused.
@usableFromInline @inline(never)
func allocSlow(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  guard Layout.isValidAlignment(alignment) else { return nil }
  if size <= 0 { return unsafe size == 0 ? UnsafeMutableRawPointer(bitPattern: alignment) : nil }
  return unsafe Heap.global.allocate(size: size, alignment: alignment)
}

/// Allocates `size` bytes of ``Kmalloc``, all zero. Otherwise as ``alloc(_:alignment:)``.
///
/// - Complexity: O(size), unless the memory is known to be zero
///
/// Thread-safety: Concurrent.
@inlinable
public func allocZeroed(_ size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer? {
  guard let sizeClass = SizeClass(size: size, alignment: alignment) else {
    return unsafe allocZeroedSlow(size, alignment)
  }
  guard let block = unsafe alloc(size, alignment: alignment) else { return nil }
  // SAFETY: an object of the class has that many bytes.
  unsafe ka_zero(block, sizeClass.bytes)
  return unsafe block
}

/// What no size class serves: no bytes, and large blocks, which may be known to be zero.
@usableFromInline
func allocZeroedSlow(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  if size <= 0 { return unsafe alloc(size, alignment: alignment) }
  let result = unsafe Heap.global.tryAllocate(
    size: size, alignment: alignment, flags: AllocFlags.kernel.union(.zero), node: nil)
  guard case .success(let block) = unsafe result else { return nil }
  return block.baseAddress
}

/// Gives back a block of ``alloc(_:alignment:)``, ``allocZeroed(_:alignment:)`` or ``realloc(_:_:newSize:alignment:)``.
///
/// Nothing happens for `nil` or size 0.
///
/// - Parameters:
///   - block: The block, or `nil`.
///   - size: What it was asked for with.
///   - alignment: What it was asked for with.
/// - Complexity: O(1) but for flushes
///
/// Thread-safety: Concurrent.
///
/// > Safety: The block is live, and nobody uses it any more; size and alignment are its own. A wrong size or alignment
/// > traps in debug builds and corrupts otherwise; a second free traps at the latest when the block leaves the cache.
@inlinable @inline(__always)
public func dealloc(_ block: UnsafeMutableRawPointer?, _ size: Int, alignment: Int = 16) {
  guard let block = unsafe block else { return }
  // Asked for its class first, which it needs anyhow: the hit path compares nothing else.
  guard SizeClass(size: size, alignment: alignment) != nil || size > 0 else { return }
  // SAFETY: the caller's duties are the same.
  unsafe Heap.global.deallocate(block, size: size, alignment: alignment)
}

/// Gives a block another size, in place where possible; its first `min(size, newSize)` bytes keep their contents.
///
/// `nil` or size 0 makes this ``alloc(_:alignment:)``; a new size of 0 gives the block back and answers an address that
/// must not be read or written.
///
/// - Parameters:
///   - block: The block, or `nil`.
///   - size: What it was asked for with.
///   - newSize: What is needed now, in bytes.
///   - alignment: What it was asked for with; it stays.
/// - Returns: The block, to be given back with `newSize`; `nil` as for ``alloc(_:alignment:)``: the old block is then
///   untouched and still has its old size. Shrinking keeps the old block where no smaller one can be had; it is `nil` only
///   where the old one does not lie as the smaller must (96 bytes at an odd multiple of 32 cannot answer to 64, which are
///   aligned to 64), or is above 1 GiB and to become an object.
/// - Complexity: O(1) in place, otherwise O(`min(size, newSize)`)
///
/// Thread-safety: Concurrent.
///
/// > Safety: As for ``dealloc(_:_:alignment:)``, if the answer is not `nil`.
@inlinable
public func realloc(
  _ block: UnsafeMutableRawPointer?, _ size: Int, newSize: Int, alignment: Int = 16
) -> UnsafeMutableRawPointer? {
  guard let block = unsafe block, size > 0 else { return unsafe alloc(newSize, alignment: alignment) }
  guard newSize > 0 else {
    let none = unsafe alloc(newSize, alignment: alignment)
    // SAFETY: the caller hands the block over.
    if unsafe none != nil { unsafe dealloc(block, size, alignment: alignment) }
    return unsafe none
  }
  // SAFETY: the caller's duties are the same.
  let result = unsafe Heap.global.tryReallocate(
    block, size: size, alignment: alignment, newSize: newSize, newAlignment: alignment, flags: .kernel, node: nil)
  guard case .success(let answer) = unsafe result else { return nil }
  // A shrink that kept the old block whole: from now on it answers to the new size.
  if answer.count != Heap.usableSize(size: newSize, alignment: alignment),
    unsafe !Heap.global.relabel(block, size: newSize, alignment: alignment)
  {
    return nil
  }
  return answer.baseAddress
}
