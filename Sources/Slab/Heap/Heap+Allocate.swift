// The full forms: flags, nodes, errors, zeroing, and what to do when memory is short.

import KAllocAtomics

extension Heap {
  /// Allocates `size` bytes on an `alignment` boundary.
  ///
  /// - Parameters:
  ///   - size: in bytes, at least 1.
  ///   - alignment: in bytes, a power of two.
  ///   - node: the node to prefer, or with `.thisNode` the only one; `nil`: the caller's. A named node bypasses the
  ///     CPU's cache.
  /// - Returns: the block with all its usable bytes, at least `size`.
  /// - Throws: `.invalidLayout` (size below 1), `.unsupportedAlignment`, `.sizeTooLarge`, `.nodeUnavailable`,
  ///   `.limitExceeded`, `.outOfMemory`. Nothing has changed then.
  ///
  /// Thread-safety: Concurrent. O(1) but for refills; zeroing is O(size).
  public func allocate(
    size: Int, alignment: Int, flags: AllocFlags, node: NodeIndex?
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard size > 0 else { throw .invalidLayout }
    guard alignment > 0, alignment & (alignment - 1) == 0 else { throw .unsupportedAlignment }
    if let sizeClass = SizeClass(size: size, alignment: alignment) {
      let object = try allocate(sizeClass, flags: flags, node: node)
      return unsafe block(object, sizeClass.bytes, zero: flags.contains(.zero))
    }
    let state = try state()
    let source = try checked(node, state)
    let block = try reclaiming(state, flags) { () throws(AllocError) in
      try state.allocateLarge(size: size, alignment: alignment, flags: flags, node: source)
    }
    return unsafe self.block(block.address, block.bytes, zero: flags.contains(.zero) && !block.clean)
  }

  /// An object of `sizeClass`.
  func allocate(_ sizeClass: SizeClass, flags: AllocFlags, node: NodeIndex?) throws(AllocError) -> UInt64 {
    let state = try state()
    let stack = StackIndex(sizeClass)
    guard let node else {
      return try reclaiming(state, flags) { () throws(AllocError) in try state.allocateSlow(stack, flags: flags) }
    }
    let source = try checked(node, state)
    return try reclaiming(state, flags) { () throws(AllocError) in
      try state.allocateShared(state.info(stack), flags: flags, node: source)
    }
  }

  private func checked(_ node: NodeIndex?, _ state: HeapState) throws(AllocError) -> NodeIndex {
    guard let node else { return state.localNode }
    guard node.rawValue >= 0, node.rawValue < state.nodeCount else { throw .nodeUnavailable }
    return node
  }

  /// Runs `attempt`; where it fails for want of memory and `flags` allow it, empties the caches and tries again.
  @inline(__always)
  func reclaiming<Result>(
    _ state: HeapState, _ flags: AllocFlags, _ attempt: () throws(AllocError) -> Result
  ) throws(AllocError) -> Result {
    var rounds = flags.contains(.retryMayFail) ? 4 : 1
    while true {
      do {
        return try attempt()
      } catch {
        guard flags.contains(.reclaim), rounds > 0, error != .sizeTooLarge else { throw error }
        let before = state.control(.committed).loadRelaxed()
        state.collect()
        rounds -= 1
        if flags.contains(.noRetry) && state.control(.committed).loadRelaxed() >= before { throw error }
      }
    }
  }

  @unsafe @inline(__always)
  private func block(_ address: UInt64, _ bytes: Int, zero: Bool) -> UnsafeMutableRawBufferPointer {
    let buffer = unsafe UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(bitPattern: UInt(address)), count: bytes)
    if zero { unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0) }
    return unsafe buffer
  }

  /// The bytes that a block asked for with `size` and `alignment` really has; `nil`: not servable.
  ///
  /// Pure; monotone in `size`; what `allocate` returns. O(1).
  @inlinable
  public static func usableSize(size: Int, alignment: Int) -> Int? {
    if let sizeClass = SizeClass(size: size, alignment: alignment) { return sizeClass.bytes }
    return largeUsableSize(size)
  }

  @usableFromInline
  static func largeUsableSize(_ size: Int) -> Int? { HeapState.largeUsableSize(size) }

  // MARK: Resizing

  /// Changes the size or the alignment of a block, in place where possible.
  ///
  /// The first min(`size`, `newSize`) bytes are kept. With `.zero` every byte behind the old usable ones is zero; bytes
  /// between `size` and the old usable size are the caller's to have kept zero (KAlloc's allocators do).
  /// - Returns: the block with all its usable bytes.
  /// - Throws: as `allocate`; the old block is then valid and unchanged. Shrinking never throws: a block that cannot be
  ///   had smaller stays as it is.
  ///
  /// > Safety: `block` is a live block of this heap with that size and alignment; where the result has another address,
  /// > `block` is not used afterwards.
  @unsafe
  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int, newAlignment: Int, flags: AllocFlags,
    node: NodeIndex?
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard newSize > 0 else { throw .invalidLayout }
    guard newAlignment > 0, newAlignment & (newAlignment - 1) == 0 else { throw .unsupportedAlignment }
    guard let usable = Heap.usableSize(size: size, alignment: alignment) else { throw .invalidLayout }
    let aligned = UInt(bitPattern: block) & UInt(newAlignment - 1) == 0
    let moves = unsafe flags.contains(.thisNode) && node != nil && self.node(of: block) != node
    if aligned && !moves,
      let kept = unsafe resizeInPlace(
        block, usable, alignment, to: newSize, newAlignment, flags)
    {
      return unsafe kept
    }
    do {
      let target = unsafe try allocate(
        size: newSize, alignment: newAlignment, flags: flags.subtracting(.zero), node: node)
      unsafe target.baseAddress!.copyMemory(from: block, byteCount: min(min(size, usable), target.count))
      if flags.contains(.zero) && target.count > size {
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[size...]).initializeMemory(as: UInt8.self, repeating: 0)
      }
      unsafe deallocate(block, size: size, alignment: alignment)
      return unsafe target
    } catch {
      // A smaller block that cannot be had is no failure: the old one serves, unless it lies wrongly.
      guard aligned, !moves, newSize <= usable else { throw error }
      return unsafe UnsafeMutableRawBufferPointer(start: block, count: usable)
    }
  }

  /// The block at its old address (or moved by the system's page tables) with its new size; `nil`: it must be copied.
  @unsafe
  private func resizeInPlace(
    _ block: UnsafeMutableRawPointer, _ usable: Int, _ alignment: Int, to newSize: Int, _ newAlignment: Int,
    _ flags: AllocFlags
  ) -> UnsafeMutableRawBufferPointer? {
    let newClass = SizeClass(size: newSize, alignment: newAlignment)
    if SizeClass(size: usable, alignment: alignment) != nil {
      guard newClass?.bytes == usable else { return nil }
      return unsafe UnsafeMutableRawBufferPointer(start: block, count: usable)
    }
    // A run stays a run as long as no class serves the new size: the free will look at the size.
    guard newClass == nil, let state = existingState,
      let (address, bytes) = state.resizeLarge(
        UInt64(UInt(bitPattern: block)), to: newSize, alignment: newAlignment, flags: flags)
    else { return nil }
    let result = unsafe UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(bitPattern: UInt(address)), count: bytes)
    if flags.contains(.zero) && bytes > usable {
      unsafe UnsafeMutableRawBufferPointer(rebasing: result[usable...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
    return unsafe result
  }
}
