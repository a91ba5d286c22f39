// What an allocator does unless it knows better, and the short forms of its operations.

import KAllocAtomics

extension Allocator {
  /// As the requirement, from any node, and reclaiming where needed unless told otherwise.
  @inlinable @inline(__always)
  public func allocate(_ layout: Layout, flags: AllocFlags = .kernel) throws(AllocError)
    -> UnsafeMutableRawBufferPointer
  {
    unsafe try allocate(layout, flags: flags, node: .any)
  }

  /// As the requirement, from any node, and reclaiming where needed unless told otherwise.
  ///
  /// > Safety: As for the requirement.
  @inlinable @inline(__always)
  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags = .kernel
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    // SAFETY: the caller's duties are the same.
    unsafe try reallocate(block, from: old, to: new, flags: flags, node: .any)
  }

  /// The default: stays where the usable size and the alignment stay the same, and otherwise allocates, copies, frees.
  ///
  /// > Safety: As for the requirement.
  @inlinable
  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    // SAFETY: the caller's duties are the same.
    unsafe try reallocateByMoving(block, from: old, to: new, flags: flags, node: node)
  }

  /// Zeroes a block's usable bytes, which no optimiser drops, and takes the block back.
  ///
  /// Use it for keys and passwords. A block that moved on ``reallocate(_:from:to:flags:node:)`` has left a copy behind.
  ///
  /// - Complexity: O(usable bytes)
  ///
  /// > Safety: As for ``deallocate(_:_:)``.
  @inlinable
  public func deallocateZeroing(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    guard layout.size > 0 else { return }
    // SAFETY: the caller owns the block, and its layout is valid, so that many bytes are its own.
    unsafe ka_zero_for_certain(block, Self.usableSize(for: layout))
    unsafe deallocate(block, layout)
  }
}

extension Allocator {
  /// Reallocation out of the other operations. For conforming types: what to fall back on.
  ///
  /// Stays in place where `usableSize(for:)` is the same for both layouts and the alignment is too; with a strict node
  /// it always moves, as it cannot know where the block is.
  ///
  /// - Complexity: O(1) in place, otherwise O(`min(old.size, new.size)`)
  ///
  /// > Safety: As for ``reallocate(_:from:to:flags:node:)``.
  @inlinable
  public func reallocateByMoving(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard let block = unsafe block, old.size > 0, new.size > 0 else {
      // SAFETY: the caller's duties are the same.
      return unsafe try reallocateWithoutBytes(block, from: old, to: new, flags: flags, node: node)
    }
    let common = Swift.min(old.size, new.size)
    let usable = Self.usableSize(for: old)
    let sameAlignment = Swift.max(old.alignment, Self.minAlignment) == Swift.max(new.alignment, Self.minAlignment)
    let staysPossible = sameAlignment && !(flags.contains(.thisNode) && node != .any)
    if staysPossible && usable == Self.usableSize(for: new) {
      // SAFETY: the block has `usable` bytes, and both sizes are at most that.
      let stayed = unsafe UnsafeMutableRawBufferPointer(start: block, count: usable)
      if flags.contains(.zero) { unsafe zero(stayed, from: common) }
      return unsafe stayed
    }
    let moved: UnsafeMutableRawBufferPointer
    do {
      unsafe moved = try allocate(new, flags: flags.subtracting(.zero), node: node)
    } catch {
      guard staysPossible && new.size <= old.size else { throw error }
      // SAFETY: as above. The block is kept whole: the count says what its layout is.
      let kept = unsafe UnsafeMutableRawBufferPointer(start: block, count: usable)
      if flags.contains(.zero) { unsafe zero(kept, from: common) }
      return unsafe kept
    }
    // SAFETY: both blocks are live and distinct and have at least `common` bytes; `moved` has at least `new.size`.
    unsafe moved.baseAddress.unsafelyUnwrapped.copyMemory(from: block, byteCount: common)
    if flags.contains(.zero) { unsafe zero(moved, from: common) }
    unsafe deallocate(block, old)
    return unsafe moved
  }

  /// Reallocation with no bytes on one side: from none it is an allocation, to none it gives the block back.
  ///
  /// > Safety: As for ``reallocate(_:from:to:flags:node:)``. There is no block, or one of the sizes is 0.
  @inlinable
  func reallocateWithoutBytes(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard let block = unsafe block, old.size > 0 else { return unsafe try allocate(new, flags: flags, node: node) }
    // SAFETY: the caller hands over the block with its layout.
    unsafe deallocate(block, old)
    return unsafe new.emptyBlock
  }

  /// Zeroes the bytes of `block` from `start` on.
  ///
  /// > Safety: `block` is live and has a base address; `start` is from 0 to its count.
  @inlinable @inline(__always)
  func zero(_ block: UnsafeMutableRawBufferPointer, from start: Int) {
    // SAFETY: the caller's duties are exactly what is needed.
    unsafe ka_zero(block.baseAddress.unsafelyUnwrapped + start, block.count - start)
  }
}
