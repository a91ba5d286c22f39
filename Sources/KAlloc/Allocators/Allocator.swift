// What every source of memory in this library can do.
//
// An allocator is a value: an empty struct where there is one in the process (`Kmalloc`, `SystemAllocator`), a handle
// one word wide where there may be many (a heap, a region, a pool). Copying it copies the handle. Its methods do not
// mutate it and may be called from any thread. A block may outlive the value that made it, never the memory behind.
//
//   request                         answer
//   Layout (size, alignment)   ──▶  buffer: start aligned, count = usable size ≥ size
//
// The usable size is what the block's size class holds. It is known beforehand: `usableSize(for:)` is a pure function
// and says what `allocate` will answer. Every size from the requested to the usable names the same block when it is
// given back, so that a collection may use the excess and forget what it once asked for.
//
// A request for no bytes succeeds with the layout's dangling address, touches no state and cannot fail; giving it back
// does nothing. A failure of any kind leaves everything as it was.

/// A source of memory: blocks by layout, given back by layout.
///
/// Write generic code over `some Allocator`; use ``Kmalloc`` where you have no reason to choose.
///
/// ```swift
/// func withScratch<A: Allocator>(_ bytes: Int, from allocator: A) throws(AllocError) {
///   let layout: Layout
///   do { layout = try Layout(size: bytes, alignment: 16) } catch { throw AllocError(error) }
///   let block = try allocator.allocate(layout)
///   defer { allocator.deallocate(block.baseAddress!, layout) }
///   // block.count >= bytes
/// }
/// ```
///
/// A conforming type provides ``minAlignment``, ``usableSize(for:)``, ``allocate(_:flags:node:)`` and
/// ``deallocate(_:_:)``; ``reallocate(_:from:to:flags:node:)`` has a default that moves. It answers a layout of size 0
/// with ``Layout/emptyBlock``, and gives each block an address that no other live block of its own overlaps.
///
/// There is no request that cannot fail. What must not fail later is taken beforehand.
///
/// Thread-safety: Concurrent.
public protocol Allocator: Sendable {
  /// Every block is aligned to at least this many bytes, whatever its layout; a power of two. Alignments up to it
  /// are all the same to this allocator.
  static var minAlignment: Int { get }

  /// The usable bytes of a block of `layout`: what ``allocate(_:flags:node:)`` answers as the buffer's count.
  ///
  /// Pure; at least `layout.size`; never falls as the size rises at one alignment; 0 for 0. `Int.max` for a layout of
  /// some size that this allocator never serves.
  ///
  /// - Complexity: O(1)
  static func usableSize(for layout: Layout) -> Int

  /// A block of at least `layout.size` bytes at a multiple of `layout.alignment`.
  ///
  /// The bytes are not initialised, except that `.zero` makes every usable byte zero. Size 0 succeeds always, with
  /// the layout's dangling address and count 0, and reaches no allocator state.
  ///
  /// - Parameters:
  ///   - layout: What is needed.
  ///   - flags: How hard to try, and whether the bytes must be zero.
  ///   - node: Where the memory should be; with `.thisNode` in the flags, where it must be.
  /// - Returns: The block with all its usable bytes: `count == usableSize(for: layout)`.
  /// - Throws: `AllocError`: `.outOfMemory`, `.limitExceeded` or `.wouldBlock` where there is no memory to be had,
  ///   `.sizeTooLarge` or `.unsupportedAlignment` for what this allocator never serves, `.nodeUnavailable` for a node
  ///   that is missing or, with `.thisNode`, empty. Nothing has changed then.
  func allocate(_ layout: Layout, flags: AllocFlags, node: NumaNode) throws(AllocError) -> UnsafeMutableRawBufferPointer

  /// Takes a block back.
  ///
  /// Nothing happens for a layout of size 0, whatever the address.
  ///
  /// > Safety: `block` came from this allocator and is not given back twice; `layout` has the alignment it was asked
  /// > for with, and a size from the one asked for to the block's usable size. Nobody uses its bytes any more. A wrong
  /// > layout or a second free corrupts or traps, at the latest when the block leaves the CPU's cache.
  func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout)

  /// Gives a block another size or alignment, in place where possible.
  ///
  /// The first `min(old.size, new.size)` bytes keep their contents, wherever the block goes. With `.zero`, all usable
  /// bytes after them become zero. `nil`, or an old layout of size 0, makes this an allocation; a new size of 0 gives
  /// the block back and answers the new layout's dangling address, and cannot fail.
  ///
  /// A block moves only if its size class, its alignment or a strict node demands it. **Shrinking does not fail** as
  /// long as the alignment stays and no strict node is named: where no smaller block can be had, the old one is kept
  /// whole, and the buffer's count says so. The layout of the block is then its count at the old alignment.
  ///
  /// - Parameters:
  ///   - block: The block, or `nil`.
  ///   - old: A layout that `deallocate` would accept for it.
  ///   - new: What is needed now.
  ///   - flags: As for an allocation.
  ///   - node: As for an allocation. A mere preference moves no block that could stay.
  /// - Returns: The block with all its usable bytes. If `count` is `usableSize(for: new)`, its layout is `new`, or
  ///   any size up to the count; if it is more, the block was kept by a shrink and its layout has size `count`.
  /// - Throws: `AllocError` as for an allocation. The old block is then untouched and still the caller's.
  ///
  /// > Safety: `block` and `old` are as ``deallocate(_:_:)`` demands. If this returns, `block` is given back and only
  /// > the answer is valid.
  func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer
}

/// An allocator of which there is one in the process: an empty struct that anyone can make.
///
/// Boxes and collections of it are as small as their pointers, and need not be told where their memory comes from.
public protocol GlobalAllocator: Allocator {
  /// The allocator; all its values are the same one.
  init()
}
