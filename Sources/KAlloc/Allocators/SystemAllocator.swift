// The C library's malloc behind the allocator interface.
//
// For comparison, for tests on a host, and for memory that C code will free. `UnsafeMutableRawPointer.allocate` is no
// way to it: that one aborts on exhaustion.
//
// The usable size is asked for, not found out: `malloc_usable_size` is no pure function of the request, and sanitizers
// and fortified builds answer the requested size. On a 64-bit machine a block of the GNU C library has 16 k + 8 bytes,
// at least 24 (a chunk is a multiple of 16 and lends 8 bytes to its header), so rounding the request up to that form
// costs nothing there and little elsewhere.

import KAllocAtomics

/// The C library's allocator: `malloc`, `posix_memalign`, `realloc`, `free`.
///
/// Use it to compare with, and where C code takes the memory over. It has no nodes and no reserve: the flags except
/// `.zero` change nothing, and `.thisNode` with a node fails with `.nodeUnavailable`. Where there is no C library,
/// every request fails with `.outOfMemory`.
///
/// Thread-safety: Concurrent; as safe in signal handlers as the C library's, which is not at all.
public struct SystemAllocator: GlobalAllocator {
  @inlinable @inline(__always)
  public init() {}

  /// 16: what C demands of `malloc` on 64-bit machines.
  @inlinable @inline(__always)
  public static var minAlignment: Int { 16 }

  /// Larger requests are refused here, as address sanitizers abort on them instead of failing: 1 TiB, or 1 GiB on a
  /// 32-bit machine.
  @inlinable @inline(__always)
  public static var largestSize: Int { 1 << Swift.min(40, Int.bitWidth - 2) }

  /// Larger alignments are refused. 1 GiB.
  @inlinable @inline(__always)
  public static var largestAlignment: Int { 1 << 30 }

  /// The request rounded up to 16 k + 8, at least 24.
  ///
  /// - Complexity: O(1)
  @inlinable
  public static func usableSize(for layout: Layout) -> Int {
    guard layout.size > 0 else { return 0 }
    guard layout.size <= largestSize && layout.alignment <= largestAlignment else { return .max }
    return Swift.max(24, ((layout.size &+ 7) & ~15) &+ 8)
  }

  /// A block of the C library. See ``Allocator/allocate(_:flags:node:)``.
  ///
  /// - Throws: `.outOfMemory`; `.sizeTooLarge` above ``largestSize``; `.unsupportedAlignment` above
  ///   ``largestAlignment``; `.nodeUnavailable` for a strict node.
  @inlinable
  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard layout.size > 0 else { return unsafe layout.emptyBlock }
    try SystemAllocator.check(layout, flags: flags, node: node)
    let usable = SystemAllocator.usableSize(for: layout)
    guard let block = unsafe ka_system_allocate(usable, layout.alignment, flags.contains(.zero)) else {
      throw .outOfMemory
    }
    return unsafe UnsafeMutableRawBufferPointer(start: block, count: usable)
  }

  /// Takes a block back. The layout matters only in that size 0 does nothing.
  ///
  /// > Safety: As for ``Allocator/deallocate(_:_:)``.
  @inlinable @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    // SAFETY: the caller owns the block, which came from the C library as its size is not 0.
    if layout.size > 0 { unsafe ka_system_free(block) }
  }

  /// `realloc` where alignments allow, else by moving. See ``Allocator/reallocate(_:from:to:flags:node:)``.
  ///
  /// > Safety: As for the protocol's requirement.
  @inlinable
  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    let oldUsable = SystemAllocator.usableSize(for: old)
    let newUsable = SystemAllocator.usableSize(for: new)
    guard let block = unsafe block, old.size > 0, new.size > 0, oldUsable != newUsable,
      Swift.max(old.alignment, new.alignment) <= SystemAllocator.minAlignment
    else {
      // SAFETY: the caller's duties are the same.
      return unsafe try reallocateByMoving(block, from: old, to: new, flags: flags, node: node)
    }
    try SystemAllocator.check(new, flags: flags, node: node)
    // SAFETY: the block is the caller's, and at this alignment it came from `malloc` or `realloc`.
    let answer: UnsafeMutableRawBufferPointer
    if let moved = unsafe ka_system_reallocate(block, newUsable) {
      unsafe answer = UnsafeMutableRawBufferPointer(start: moved, count: newUsable)
    } else {
      guard new.size <= old.size else { throw .outOfMemory }
      unsafe answer = UnsafeMutableRawBufferPointer(start: block, count: oldUsable)
    }
    if flags.contains(.zero) { unsafe zero(answer, from: Swift.min(old.size, new.size)) }
    return unsafe answer
  }

  /// Throws what makes a request of some size hopeless.
  @inlinable @inline(__always)
  static func check(_ layout: Layout, flags: AllocFlags, node: NumaNode) throws(AllocError) {
    guard layout.size <= largestSize else { throw .sizeTooLarge }
    guard layout.alignment <= largestAlignment else { throw .unsupportedAlignment }
    guard !flags.contains(.thisNode) || node == .any else { throw .nodeUnavailable }
  }
}
