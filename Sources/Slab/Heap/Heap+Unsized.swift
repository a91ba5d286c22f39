// Blocks whose size the caller does not know: what the C library's `free`, `realloc` and `malloc_usable_size` are given.
//
//     address ─ window's base ─▶ frame ─▶ owner byte ─▶ {mask, reciprocal, bytes} ─▶ stack of the CPU
//
// Base, length and owner bytes of the window stand in the heap's handle, so that the hit path of a free is 28 instructions
// with the return (`ka_section_free`), which also see an interior pointer and the object that was freed last. An owner of
// 0 or `KA_OWNER_RUN` has a reciprocal of 0, which no offset passes. Everything else goes to the slow half: large blocks,
// several nodes, heaps without a window, and misuse, which is reported to the caller and not trapped.

import KAllocAtomics

/// Why a block could not be freed or resized.
public enum BlockFault: Equatable, Sendable {
  /// No block of the heap begins at the address. So it is with a block above 1 GiB that was freed before.
  case foreign
  /// The block is free already: the object in its slab, or on the stack of the CPU as the last one freed there; or a large
  /// block was freed at the address, and nothing else has begun there since.
  case doubleFree
}

extension Heap {
  // MARK: Hit paths

  /// The newest block of `sizeClass` that this CPU has in its cache; `nil`: ask `allocate`.
  ///
  /// Thread-safety: Concurrent. O(1).
  @inlinable @inline(__always)
  public func allocateCached(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(ka_section_pop(handle, sizeClass.stack)))
  }

  /// The newest large block of the length of `size`, on a boundary of 4 KiB, that this CPU has in its cache; `nil`: ask `allocate`.
  ///
  /// Thread-safety: Concurrent. O(1).
  @inlinable @inline(__always)
  public func allocateCached(large size: Int) -> UnsafeMutableRawPointer? {
    let stack = Heap.runStack(size)
    if stack == 0 { return nil }
    return unsafe UnsafeMutableRawPointer(bitPattern: UInt(ka_section_pop(handle, stack)))
  }

  /// Frees a block of a size class, by its address, into this CPU's cache; false: ask `deallocateUnsized`. 0 is no block.
  ///
  /// > Safety: as for `deallocateUnsized`.
  ///
  /// Thread-safety: Concurrent. O(1).
  @inlinable @inline(__always)
  public func deallocateCached(_ block: UInt) -> Bool {
    let address = UInt64(block)
    #if arch(x86_64) && os(Linux)
      return unsafe ka_section_free(handle, address)
    #else
      guard let found = unsafe objectClass(address) else { return false }
      return unsafe ka_section_push(handle, stack(of: found), address)
    #endif
  }

  /// The same where the block belongs on the stack at byte `stack` of a region; false otherwise, too.
  @inline(__always)
  func deallocateCached(_ address: UInt64, to stack: UInt64) -> Bool {
    #if arch(x86_64) && os(Linux)
      return unsafe ka_section_free_to(handle, address, stack)
    #else
      guard let found = unsafe objectClass(address), unsafe self.stack(of: found) == stack else { return false }
      return unsafe ka_section_push(handle, stack, address)
    #endif
  }

  /// The stack of a class that `objectClass` has found: the classes are as far apart as the stacks.
  @unsafe @inlinable @inline(__always)
  func stack(of found: UnsafePointer<ka_class>) -> UInt64 {
    let classes = unsafe AtomicWord(ka_heap_owners_word(handle)).loadRelaxed() &- UInt64(KA_CLASSES_BYTES)
    return UInt64(UInt(bitPattern: found)) &- classes &+ UInt64(KA_OWNER_STACK)
  }

  /// The class of the object that begins at `address` in the heap's one window; `nil`: none does, or there is none.
  @inlinable @inline(__always)
  func objectClass(_ address: UInt64) -> UnsafePointer<ka_class>? {
    // (W) acquire: base and owners are those that were written before the frames.
    let frames = unsafe AtomicWord(ka_heap_frames_word(handle)).loadAcquire()
    let frame = unsafe (address &- AtomicWord(ka_heap_base_word(handle)).loadRelaxed()) &>> 12
    guard frame < frames else { return nil }
    // SAFETY: (W) the window has an owner byte for each frame, behind the classes.
    let owners = unsafe UnsafePointer<UInt8>(
      bitPattern: UInt(AtomicWord(ka_heap_owners_word(handle)).loadRelaxed())
    ).unsafelyUnwrapped
    // Relaxed: the caller owns the block, so its owner byte does not change.
    let owner = unsafe Int(ka_u8_load_relaxed(owners + Int(truncatingIfNeeded: frame)))
    let classes = unsafe UnsafeRawPointer(owners - Int(KA_CLASSES_BYTES)).assumingMemoryBound(to: ka_class.self)
    let reciprocal = unsafe classes[owner].reciprocal
    return unsafe (address & classes[owner].mask) &* reciprocal < reciprocal ? classes + owner : nil
  }

  // MARK: Whole operations

  /// Frees a block whose size is not known: its class is read from the address. O(1) but for flushes.
  ///
  /// Traps where no block of this heap begins at `block`, and where it is known to be free already.
  ///
  /// > Safety: `block` is a live block of this heap, and is not used afterwards.
  ///
  /// Thread-safety: Concurrent.
  @inlinable @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer) {
    if deallocateCached(UInt(bitPattern: block)) { return }
    unsafe deallocateOrTrap(block)
  }

  @usableFromInline @inline(never)
  func deallocateOrTrap(_ block: UnsafeMutableRawPointer) {
    trap(unsafe deallocateUnsized(block), at: UInt64(UInt(bitPattern: block)))
  }

  /// Ends the process where there is a fault.
  func trap(_ fault: BlockFault?, at address: UInt64) {
    switch fault {
    case nil: return
    case .foreign: Misuse.foreignFree.trap(at: address)
    case .doubleFree: Misuse.doubleFree.trap(at: address)
    }
  }

  /// Frees a block whose size is not known; what is wrong with it otherwise, and then nothing has changed.
  ///
  /// A fault that is not seen here is trapped at the latest when the block leaves the CPU's cache.
  ///
  /// > Safety: `block` is a live block of this heap, and is not used afterwards.
  ///
  /// Thread-safety: Concurrent.
  public func deallocateUnsized(_ block: UnsafeMutableRawPointer) -> BlockFault? {
    let address = UInt64(UInt(bitPattern: block))
    guard let state = existingState else { return .foreign }
    guard let kind = state.kind(of: address) else { return state.isEndedRun(address) ? .doubleFree : .foreign }
    switch kind {
    case .object(let sizeClass):
      if state.isKnownFree(address, sizeClass) { return .doubleFree }
      state.deallocateSlow(StackIndex(sizeClass), address)
      return nil
    case .large: return state.deallocateLarge(address)
    }
  }

  /// The bytes that the block at `block` really has; `nil`: no block of this heap begins there.
  ///
  /// Thread-safety: Concurrent. O(1); above 1 GiB O(number of such blocks).
  @inlinable @inline(__always)
  public func usableSize(of block: UnsafeRawPointer) -> Int? {
    let address = UInt64(UInt(bitPattern: block))
    if let found = unsafe objectClass(address) { return Int(truncatingIfNeeded: unsafe found.pointee.bytes) }
    return largeOrForeignSize(address)
  }

  @usableFromInline @inline(never)
  func largeOrForeignSize(_ address: UInt64) -> Int? { existingState?.kind(of: address)?.bytes }

  /// Changes the size of a block whose size is not known, in place where possible; `nil` where no block begins at `block`.
  ///
  /// The first bytes are kept, as many as both blocks have. A block that shrinks by less than a half, or a run of pages by
  /// less than a quarter, stays as it is; a run that must move gets an eighth more address space than asked for, so that a
  /// block that grows step by step is copied a logarithmic number of times. Pages never touched take no memory.
  /// - Throws: as `allocate`; the old block is then valid and unchanged. Shrinking never throws: a block that cannot be had smaller
  ///   stays as it is.
  ///
  /// > Safety: `block` is a live block of this heap; where the result has another address, it is not used afterwards.
  ///
  /// Thread-safety: Concurrent.
  public func reallocateUnsized(
    _ block: UnsafeMutableRawPointer, newSize: Int
  ) throws(AllocError) -> UnsafeMutableRawPointer? {
    switch unsafe tryReallocateUnsized(block, newSize: newSize) {
    case .success(let block): return unsafe block
    case .failure(let error): throw error
    }
  }

  /// As `reallocateUnsized`, with the failure as a result: see `tryAllocate`.
  ///
  /// > Safety: as for `reallocateUnsized`.
  ///
  /// Thread-safety: Concurrent.
  public func tryReallocateUnsized(
    _ block: UnsafeMutableRawPointer, newSize: Int
  ) -> Result<UnsafeMutableRawPointer?, AllocError> {
    guard newSize > 0 else { return unsafe .failure(.invalidLayout) }
    let address = UInt64(UInt(bitPattern: block))
    guard let state = existingState, let kind = state.kind(of: address) else { return unsafe .success(nil) }
    let usable = kind.bytes
    if case .large = kind, state.isKnownFreeRun(address) { return unsafe .success(nil) }
    var wanted = newSize
    switch kind {
    case .object:
      if newSize <= usable && newSize > usable / 2 { return unsafe .success(block) }
    case .large:
      if newSize <= usable && newSize > usable / 4 * 3 { return unsafe .success(block) }
      if newSize > SizeClass.maximumBytes {
        if let (moved, _) = state.resizeLarge(address, to: newSize, alignment: Frames.bytes, flags: .kernel) {
          return unsafe .success(UnsafeMutableRawPointer(bitPattern: UInt(moved)))
        }
        if newSize > usable && newSize <= DirectMappings.threshold / 2 { wanted += newSize / 8 }
      }
    }
    var target = wanted > newSize ? unsafe allocate(size: wanted) : nil
    if unsafe target == nil {
      switch unsafe tryAllocate(size: newSize, alignment: 16, flags: .kernel, node: nil) {
      case .success(let block): unsafe target = block.baseAddress
      // A smaller block that cannot be had is no failure: the old one serves.
      case .failure(let error): return unsafe newSize <= usable ? .success(block) : .failure(error)
      }
    }
    unsafe target.unsafelyUnwrapped.copyMemory(from: block, byteCount: min(usable, newSize))
    unsafe deallocate(block)
    return unsafe .success(target)
  }
}

extension HeapState {
  /// Whether the object is free in its slab, or lies on top of the current CPU's stack. The owner of a live object knows
  /// that neither is so.
  func isKnownFree(_ address: UInt64, _ sizeClass: SizeClass) -> Bool {
    let info = info(StackIndex(sizeClass))
    guard let region = pages(containing: address) else { return false }
    let table = SlabTable(of: region)
    guard let (head, object) = table.place(address, info.slab) else { return false }
    // Relaxed: the last free of an object that its slab has again was long ago; one under way is missed.
    let bits = table.bits[table.firstWord(of: head) &+ object &>> 6].loadRelaxed()
    return bits & (1 &<< UInt64(object & 63)) != 0 || isOnTop(address, info)
  }

  /// Whether the large block at `address` lies on top of the current CPU's stack for its length.
  func isKnownFreeRun(_ address: UInt64) -> Bool {
    guard let stack = runStack(of: address) else { return false }
    return isOnTop(address, info(stack))
  }

  /// Whether `address` lies on top of the current CPU's stack.
  func isOnTop(_ address: UInt64, _ info: StackInfo) -> Bool {
    LocalCache(self)?.hasOnTop(address, info) ?? false
  }
}
