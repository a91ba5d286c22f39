// The heap as its users see it, and the hot paths.
//
// An allocation of a size class is: the class (a constant where the size is one), a restartable section that pops a
// pointer from the CPU's stack, and, where that was not done, the slow path out of line. A free is the same with a
// push. Neither reads anything but the thread's rseq area, the handle's first word and the stack itself.
//
// Where to read on: Caches/HeapState+Refill.swift (allocation), Caches/HeapState+Flush.swift (free),
// Heap/HeapState+Large.swift (what no size class serves).

import KAllocAtomics

/// An allocator for objects of any size, without a lock anywhere: memory from the operating system or given by the
/// caller, cut into slabs, cached per CPU.
///
/// Use `Heap.global` unless memory must be counted, limited or destroyed apart from the rest. A handle, one pointer
/// wide; copying it copies the handle.
///
/// Every call may be made from a signal handler that interrupted the allocator itself, and from a forked child; an operation
/// writes to at most 4 KiB of stack in an optimised build. Only a
/// `throw`, at the end of a call that fails, may reach a hook of somebody else's: see `tryAllocate`.
///
/// Thread-safety: Concurrent, but for `destroy`.
///
/// ## Invariants
/// `handle` points to the handle of the global heap or of one that `create` made and `destroy` has not ended.
@safe
public struct Heap: Sendable, Equatable {
  @usableFromInline nonisolated(unsafe) let handle: UnsafeMutablePointer<ka_heap>

  @unsafe @inlinable @inline(__always)
  init(_ handle: UnsafeMutablePointer<ka_heap>) { unsafe self.handle = handle }

  /// The heap that needs no call to exist. Made by the first allocation, from the system's topology and memory.
  @inlinable @inline(__always)
  public static var global: Heap { unsafe Heap(ka_heap_global()) }

  @inlinable
  public static func == (left: Heap, right: Heap) -> Bool { unsafe left.handle == right.handle }

  // MARK: Hot paths

  /// Allocates `size` bytes on an `alignment` boundary; `nil` where memory is exhausted or the arguments are invalid.
  ///
  /// May reclaim from caches when memory is short. The bytes are not initialised. O(1) but for refills.
  /// - Parameters:
  ///   - size: in bytes, at least 1.
  ///   - alignment: in bytes, a power of two.
  @inlinable @inline(__always)
  public func allocate(size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer? {
    // Of a constant nothing is left of the first test; 0 has no class, and the cold half refuses it.
    if alignment & (alignment &- 1) == 0, let sizeClass = SizeClass(size: size, alignment: alignment) {
      return unsafe allocate(sizeClass)
    }
    return unsafe allocateLarge(size, alignment)
  }

  /// Allocates an object of `sizeClass`; `nil` where memory is exhausted. Otherwise as `allocate(size:alignment:)`.
  @inlinable @inline(__always)
  public func allocate(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    let object = unsafe ka_section_pop(handle, sizeClass.stack)
    if object != 0 { return unsafe UnsafeMutableRawPointer(bitPattern: UInt(object)) }
    return unsafe allocateSlow(sizeClass)
  }

  /// Whether `alignment` is a power of two.
  @inlinable @inline(__always)
  static func isValid(alignment: Int) -> Bool { alignment > 0 && alignment & (alignment &- 1) == 0 }

  /// Frees a block, given the alignment that it was allocated with, and that size or any from it up to the usable one.
  ///
  /// A wrong size or alignment is a violation: reported and trapped in debug builds, undefined otherwise. A foreign pointer is
  /// trapped at the latest when it leaves the CPU's cache. So is a block freed twice, unless it is allocated again before:
  /// then it has two owners. O(1) but for flushes.
  ///
  /// > Safety: `block` is a live block of this heap, and is not used afterwards.
  @inlinable @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int = 16) {
    if let sizeClass = SizeClass(size: size, alignment: alignment) {
      assert(unsafe isObject(block, sizeClass))
      let object = UInt64(UInt(bitPattern: block))
      if unsafe ka_section_push(handle, sizeClass.stack, object) { return }
      deallocateSlow(object, sizeClass)
    } else {
      unsafe deallocateLarge(block, size)
    }
  }

  // MARK: Their cold halves

  /// The state, made where it does not exist yet. Lock-free: of several makers one wins, the others undo.
  func state() -> Result<HeapState, AllocError> {
    if let state = existingState { return .success(state) }
    var configuration = HeapConfiguration()
    configuration.topology = .system
    switch start(configuration) {
    case .success((let state, _)): return .success(state)
    case .failure(let error): return .failure(error)
    }
  }

  /// The state, where it exists or can be made.
  var possibleState: HeapState? {
    guard case .success(let state) = state() else { return nil }
    return state
  }

  /// The state, made from `configuration` where it does not exist yet, and whether this call has made it.
  func start(_ configuration: HeapConfiguration) -> Result<(state: HeapState, isNew: Bool), AllocError> {
    if let state = existingState { return .success((state, false)) }
    let state: HeapState
    switch unsafe HeapState.make(configuration, handle: handle) {
    case .success(let made): state = made
    case .failure(let failure): return .failure(failure)
    }
    let word = unsafe AtomicWord(ka_heap_state_word(handle))
    // (S) release publishes the state; acquire sees another's.
    let mine = UInt64(UInt(bitPattern: unsafe state.record))
    let found = word.compareExchangeAcquireRelease(0, mine)
    if found == 0 {
      state.publish()
      return .success((state, true))
    }
    unsafe state.dispose()
    return unsafe .success((HeapState(at: found), false))
  }

  /// The state, where the heap has been used.
  var existingState: HeapState? {
    // (S) acquire.
    let found = unsafe AtomicWord(ka_heap_state_word(handle)).loadAcquire()
    return found == 0 ? nil : unsafe HeapState(at: found)
  }

  @usableFromInline @inline(never)
  func allocateSlow(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    guard case .success(let object) = allocate(sizeClass, flags: .kernel, node: nil) else { return nil }
    return unsafe UnsafeMutableRawPointer(bitPattern: UInt(object))
  }

  @usableFromInline @inline(never)
  func allocateLarge(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    if Heap.isValid(alignment: alignment), alignment <= Frames.bytes, let run = unsafe allocateCached(large: size) {
      return unsafe run
    }
    return unsafe allocateLargeSlow(size, alignment)
  }

  @inline(never)
  private func allocateLargeSlow(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    guard Heap.isValid(alignment: alignment), let bytes = HeapState.largeUsableSize(size),
      case .success(let block) = takeLarge(bytes, alignment: alignment, flags: .kernel, node: nil)
    else { return nil }
    return unsafe UnsafeMutableRawPointer(bitPattern: UInt(block.address))
  }

  /// The stack of large blocks of `size`; 0: there is none.
  @inlinable @inline(__always)
  static func runStack(_ size: Int) -> UInt64 {
    ka_run_holding(UInt64(bitPattern: Int64(truncatingIfNeeded: size &- 1)))
  }

  @usableFromInline @inline(never)
  func deallocateSlow(_ object: UInt64, _ sizeClass: SizeClass) {
    guard let state = existingState else { Misuse.foreignFree.trap(at: object) }
    state.deallocateSlow(StackIndex(sizeClass), object)
  }

  @usableFromInline @inline(never)
  func deallocateLarge(_ block: UnsafeMutableRawPointer, _ size: Int) {
    let address = UInt64(UInt(bitPattern: block))
    let stack = Heap.runStack(size)
    if stack != 0, deallocateCached(address, to: stack) { return }
    unsafe deallocateLargeSlow(block, size)
  }

  @inline(never)
  private func deallocateLargeSlow(_ block: UnsafeMutableRawPointer, _ size: Int) {
    let address = UInt64(UInt(bitPattern: block))
    // A block of a small size whose alignment no class serves is a run, too.
    let bytes = HeapState.largeUsableSize(size)
    guard let state = existingState else { Misuse.foreignFree.trap(at: address) }
    if let actual = state.largeSize(of: address), actual != bytes { Misuse.wrongLayout.trap(at: address) }
    trap(state.deallocateLarge(address), at: address)
  }

  /// Traps where `block` is no object of `sizeClass`, or known to be free; true otherwise, for `assert`.
  @usableFromInline @inline(never)
  func isObject(_ block: UnsafeMutableRawPointer, _ sizeClass: SizeClass) -> Bool {
    let address = UInt64(UInt(bitPattern: block))
    guard let state = existingState, let kind = state.kind(of: address) else { Misuse.foreignFree.trap(at: address) }
    if kind != .object(sizeClass) && !state.isRelabelled(address) { Misuse.wrongLayout.trap(at: address) }
    if state.isKnownFree(address, sizeClass) { Misuse.doubleFree.trap(at: address) }
    return true
  }
}

extension HeapState {
  /// The state whose record is at `address`.
  @unsafe
  init(at address: UInt64) {
    // SAFETY: the handle's word holds 0 or the address of an initialised record.
    unsafe self.init(UnsafeMutablePointer(bitPattern: UInt(address)).unsafelyUnwrapped)
  }
}
