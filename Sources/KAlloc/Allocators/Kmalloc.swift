// The allocator of the process. An empty struct: a box or a vector of it stores nothing for it.

import Slab

/// The global heap: the allocator to use unless there is a reason for another.
///
/// Small blocks come from caches of the CPU without a lock or a locked instruction; large ones from pages, and above
/// 1 GiB from the operating system. Needs no initialisation.
///
/// ```swift
/// let layout = try Layout(size: 64, alignment: 16)
/// let block = try Kmalloc().allocate(layout)
/// Kmalloc().deallocate(block.baseAddress!, layout)
/// ```
///
/// Use a `Heap` of your own where memory is to be counted, limited or ended apart from the rest.
///
/// Thread-safety: Concurrent; also from signal handlers, and in a forked child.
public struct Kmalloc: GlobalAllocator {
  @inlinable @inline(__always)
  public init() {}

  /// 16 bytes.
  @inlinable @inline(__always)
  public static var minAlignment: Int { Heap.minAlignment }

  /// The size of the class that serves `layout`, or whole pages above 32 KiB.
  ///
  /// - Complexity: O(1); a constant for a constant layout of at most 32 KiB.
  @inlinable @inline(__always)
  public static func usableSize(for layout: Layout) -> Int { Heap.usableSize(for: layout) }

  /// A block of the global heap. See ``Allocator/allocate(_:flags:node:)``.
  ///
  /// - Complexity: O(1) but for refills; with `.zero`, O(size) unless the memory is known to be zero.
  @inlinable @inline(__always)
  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    unsafe try Heap.global.allocate(layout, flags: flags, node: node)
  }

  /// Takes a block back. Frees twice and foreign pointers trap, at the latest when the block leaves the CPU's cache.
  ///
  /// - Complexity: O(1) but for flushes
  ///
  /// > Safety: As for ``Allocator/deallocate(_:_:)``.
  @inlinable @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    // SAFETY: the caller's duties are the same.
    unsafe Heap.global.deallocate(block, layout)
  }

  /// Resizes in place where possible. See ``Allocator/reallocate(_:from:to:flags:node:)``.
  ///
  /// > Safety: As for the protocol's requirement.
  @inlinable
  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    // SAFETY: the caller's duties are the same.
    unsafe try Heap.global.reallocate(block, from: old, to: new, flags: flags, node: node)
  }
}
