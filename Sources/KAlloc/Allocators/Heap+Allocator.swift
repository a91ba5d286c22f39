// A heap as an allocator: layouts in, usable sizes out, the rules for no bytes and for zeroing.
//
// The hot paths are the heap's own, inlined into the caller: for a layout that is constant the size class is, too. What
// they cannot decide goes to the full forms, out of line: other flags than the usual, a node, sizes above the classes,
// and the reason of a failure.

import KAllocAtomics
import Slab

/// A heap serves layouts. The handle is one word wide; the heap must not be destroyed before its blocks are given back.
extension Heap: Allocator {
  /// 16 bytes: the smallest size class.
  @inlinable @inline(__always)
  public static var minAlignment: Int { 16 }

  /// The size of the class that serves `layout`, or whole pages above the classes.
  ///
  /// - Complexity: O(1); a constant for a constant layout of at most 32 KiB.
  @inlinable @inline(__always)
  public static func usableSize(for layout: Layout) -> Int {
    if let sizeClass = SizeClass(size: layout.size, alignment: layout.alignment) { return sizeClass.bytes }
    return layout.size == 0 ? 0 : usableSize(size: layout.size, alignment: layout.alignment) ?? .max
  }

  /// A block of this heap. See ``Allocator/allocate(_:flags:node:)``.
  ///
  /// - Complexity: O(1) but for refills; with `.zero`, O(size) unless the memory is known to be zero.
  @inlinable @inline(__always)
  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    let usual = flags.subtracting(.zero) == .kernel && node == .any
    if usual, let sizeClass = SizeClass(size: layout.size, alignment: layout.alignment),
      let block = unsafe allocate(sizeClass)
    {
      // SAFETY: an object of the class has that many bytes.
      if flags.contains(.zero) { unsafe ka_zero(block, sizeClass.bytes) }
      return unsafe UnsafeMutableRawBufferPointer(start: block, count: sizeClass.bytes)
    }
    return unsafe try allocateSlow(layout, flags: flags, node: node)
  }

  /// Out of line, and not only for its size: with a `throw` in it the protocol's witness is not inlined into generic callers.
  @usableFromInline @inline(never)
  func allocateSlow(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    if layout.size == 0 { return unsafe layout.emptyBlock }
    return unsafe try allocate(
      size: layout.size, alignment: layout.alignment, flags: flags, node: node.nodeIndex)
  }

  /// Takes a block back. Frees twice and foreign pointers trap, at the latest when the block leaves the CPU's cache.
  ///
  /// - Complexity: O(1) but for flushes
  ///
  /// > Safety: As for ``Allocator/deallocate(_:_:)``.
  @inlinable @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    guard SizeClass(size: layout.size, alignment: layout.alignment) != nil || layout.size > 0 else { return }
    // SAFETY: the caller owns the block, and its layout names it.
    unsafe deallocate(block, size: layout.size, alignment: layout.alignment)
  }

  /// Resizes in place within a size class, by neighbouring free pages or by the system's page tables, else by moving.
  /// See ``Allocator/reallocate(_:from:to:flags:node:)``.
  ///
  /// > Safety: As for the protocol's requirement.
  @inlinable
  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard let block = unsafe block, old.size > 0, new.size > 0 else {
      // SAFETY: the caller's duties are the same.
      return unsafe try reallocateWithoutBytes(block, from: old, to: new, flags: flags, node: node)
    }
    // SAFETY: the caller owns the block, and `old` names it.
    let answer = unsafe try reallocate(
      block, size: old.size, alignment: old.alignment, newSize: new.size, newAlignment: new.alignment,
      flags: flags.subtracting(.zero), node: node.nodeIndex)
    // Zeroed here, as the heap does not know how much of a block's usable size was in use.
    if flags.contains(.zero) { unsafe zero(answer, from: Swift.min(old.size, new.size)) }
    return unsafe answer
  }
}
