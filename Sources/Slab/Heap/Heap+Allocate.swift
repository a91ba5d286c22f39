// The full forms: flags, nodes, errors, zeroing, and what to do when memory is short.
//
// Nothing below the public functions throws. A `throw` calls a hook of Swift's runtime (`swift_willThrowTyped`), which a
// debugger or a test library sets for the whole process and in which it may take a lock: in a signal handler that
// interrupted a holder of that lock it would never return. So failures are results, up to the functions that are
// declared to throw, which do so last, when nothing is held. The others never reach the hook.

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
  /// - Throws: `.invalidLayout` (size below 1), `.unsupportedAlignment` (no power of two, or more than the memory can have),
  ///   `.sizeTooLarge` (more than 2^47, or than the largest range that was given), `.nodeUnavailable`, `.limitExceeded`,
  ///   `.outOfMemory`. Nothing has changed then. Only the last three come after a reclaim, and `.limitExceeded` at once for
  ///   a block that is larger than the limit.
  ///
  /// Thread-safety: Concurrent. O(1) but for refills; zeroing is O(size).
  public func allocate(
    size: Int, alignment: Int, flags: AllocFlags, node: NodeIndex?
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    switch unsafe tryAllocate(size: size, alignment: alignment, flags: flags, node: node) {
    case .success(let block): return unsafe block
    case .failure(let error): throw error
    }
  }

  /// As `allocate`, with the failure as a result: for a signal handler, in which a `throw` may reach a debugger's or a
  /// test library's hook and wait there.
  ///
  /// Thread-safety: Concurrent. O(1) but for refills; zeroing is O(size).
  public func tryAllocate(
    size: Int, alignment: Int, flags: AllocFlags, node: NodeIndex?
  ) -> Result<UnsafeMutableRawBufferPointer, AllocError> {
    guard size > 0 else { return unsafe .failure(.invalidLayout) }
    guard Heap.isValid(alignment: alignment) else { return unsafe .failure(.unsupportedAlignment) }
    if let sizeClass = SizeClass(size: size, alignment: alignment) {
      // Whatever the flags say: what this CPU has at hand is of its node, and needs no memory.
      if node == nil, let object = unsafe allocateCached(sizeClass) {
        return unsafe .success(block(UInt64(UInt(bitPattern: object)), sizeClass.bytes, zero: flags.contains(.zero)))
      }
      switch allocate(sizeClass, flags: flags, node: node) {
      case .success(let object): return unsafe .success(block(object, sizeClass.bytes, zero: flags.contains(.zero)))
      case .failure(let error): return unsafe .failure(error)
      }
    }
    // Before the heap is made or anything is reclaimed: what none serves.
    guard let bytes = HeapState.largeUsableSize(size) else { return unsafe .failure(.sizeTooLarge) }
    if node == nil, alignment <= Frames.bytes, let run = unsafe allocateCached(large: size) {
      return unsafe .success(block(UInt64(UInt(bitPattern: run)), bytes, zero: flags.contains(.zero)))
    }
    switch takeLarge(bytes, alignment: alignment, flags: flags, node: node) {
    case .success(let large):
      return unsafe .success(block(large.address, large.bytes, zero: flags.contains(.zero) && !large.clean))
    case .failure(let error): return unsafe .failure(error)
    }
  }

  /// A block of `bytes`, as `largeUsableSize` says, that this CPU's stack has not: from the thread's, or the page level.
  func takeLarge(
    _ bytes: Int, alignment: Int, flags: AllocFlags, node: NodeIndex?
  ) -> Result<HeapState.LargeBlock, AllocError> {
    switch source(node) {
    case .failure(let error): return .failure(error)
    case .success((let state, let source)):
      if node == nil, alignment <= Frames.bytes, let run = state.runOfThread(bytes) {
        return .success(HeapState.LargeBlock(address: run, bytes: bytes, clean: false))
      }
      if let refusal = state.refusal(bytes: bytes, alignment: alignment) { return .failure(refusal) }
      var reclaim = Reclaim(state, flags)
      while true {
        let result = state.allocateLarge(bytes, alignment: alignment, flags: flags, node: source)
        guard case .failure(let error) = result, reclaim.helps(error) else { return result }
      }
    }
  }

  /// An object of `sizeClass`.
  func allocate(_ sizeClass: SizeClass, flags: AllocFlags, node: NodeIndex?) -> Result<UInt64, AllocError> {
    switch source(node) {
    case .failure(let error): return .failure(error)
    case .success((let state, let source)):
      let stack = StackIndex(sizeClass)
      var reclaim = Reclaim(state, flags)
      while true {
        let result =
          node == nil
          ? state.allocateSlow(stack, flags: flags)
          : state.allocateShared(state.info(stack), flags: flags, node: source)
        guard case .failure(let error) = result, reclaim.helps(error) else { return result }
      }
    }
  }

  /// The state, and the node to begin at: `node`, which it must have, or the caller's.
  private func source(_ node: NodeIndex?) -> Result<(HeapState, NodeIndex), AllocError> {
    switch state() {
    case .failure(let error): return .failure(error)
    case .success(let state):
      guard let node else { return .success((state, state.localNode)) }
      guard node.rawValue >= 0, node.rawValue < state.nodeCount else { return .failure(.nodeUnavailable) }
      return .success((state, node))
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
    guard isValid(alignment: alignment) else { return nil }
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
  /// - Returns: the block with all its usable bytes. Where they are more than `usableSize(size: newSize, alignment: newAlignment)`, a
  ///   shrink has kept the block: its size is now that count, at the old alignment, and it is freed with those (or see `relabel`).
  /// - Throws: as `allocate`; the old block is then valid and unchanged. Shrinking never throws while the alignment stays: a
  ///   block that cannot be had smaller stays as it is.
  ///
  /// > Safety: `block` is a live block of this heap with that size and alignment; where the result has another address,
  /// > `block` is not used afterwards.
  @unsafe
  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int, newAlignment: Int, flags: AllocFlags,
    node: NodeIndex?
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    let result = unsafe tryReallocate(
      block, size: size, alignment: alignment, newSize: newSize, newAlignment: newAlignment, flags: flags, node: node)
    switch unsafe result {
    case .success(let block): return unsafe block
    case .failure(let error): throw error
    }
  }

  /// As `reallocate`, with the failure as a result: see `tryAllocate`.
  ///
  /// > Safety: as for `reallocate`.
  @unsafe
  public func tryReallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int, newAlignment: Int, flags: AllocFlags,
    node: NodeIndex?
  ) -> Result<UnsafeMutableRawBufferPointer, AllocError> {
    // Most steps of a block that grows step by step: classes serve both sizes, and nobody asks for another node. Within one class it
    // stays; into another it goes by way of this CPU's cache.
    if alignment == newAlignment, Heap.isValid(alignment: alignment),
      !flags.contains(.thisNode), !flags.contains(.zero),
      let old = SizeClass(size: size, alignment: alignment), let new = SizeClass(size: newSize, alignment: alignment)
    {
      if old == new { return unsafe .success(UnsafeMutableRawBufferPointer(start: block, count: new.bytes)) }
      if node == nil, let moved = unsafe allocateCached(new) {
        unsafe moved.copyMemory(from: block, byteCount: min(size, newSize))
        unsafe deallocate(block, size: size, alignment: alignment)
        return unsafe .success(UnsafeMutableRawBufferPointer(start: moved, count: new.bytes))
      }
    }
    return unsafe resize(
      block, size: size, alignment: alignment, newSize: newSize, newAlignment: newAlignment, flags: flags, node: node)
  }

  @inline(never)
  private func resize(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int, newAlignment: Int, flags: AllocFlags,
    node: NodeIndex?
  ) -> Result<UnsafeMutableRawBufferPointer, AllocError> {
    guard newSize > 0 else { return unsafe .failure(.invalidLayout) }
    guard Heap.isValid(alignment: newAlignment) else { return unsafe .failure(.unsupportedAlignment) }
    guard let usable = Heap.usableSize(size: size, alignment: alignment) else {
      return unsafe .failure(.invalidLayout)
    }
    let aligned = UInt(bitPattern: block) & UInt(newAlignment - 1) == 0
    let moves = unsafe flags.contains(.thisNode) && node != nil && self.node(of: block) != node
    if aligned && !moves,
      let kept = unsafe resizeInPlace(
        block, usable, alignment, to: newSize, newAlignment, flags)
    {
      return unsafe .success(kept)
    }
    let result = unsafe tryAllocate(
      size: newSize, alignment: newAlignment, flags: flags.subtracting(.zero), node: node)
    guard case .success(let target) = unsafe result else {
      // A smaller block that cannot be had is no failure: the old one serves, unless it lies wrongly.
      // Nor where it would pass for one of the new layout: that is an object and this a run, or the other way round.
      let isObject = SizeClass(size: size, alignment: alignment) != nil
      let passes = Heap.usableSize(size: newSize, alignment: newAlignment) == usable
      let wouldBeObject = SizeClass(size: newSize, alignment: newAlignment) != nil
      guard aligned, !moves, newSize <= usable, !passes || isObject == wouldBeObject else { return unsafe result }
      return unsafe .success(UnsafeMutableRawBufferPointer(start: block, count: usable))
    }
    unsafe target.baseAddress!.copyMemory(from: block, byteCount: min(min(size, usable), target.count))
    if flags.contains(.zero) && target.count > size {
      unsafe UnsafeMutableRawBufferPointer(rebasing: target[size...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
    unsafe deallocate(block, size: size, alignment: alignment)
    return unsafe result
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
