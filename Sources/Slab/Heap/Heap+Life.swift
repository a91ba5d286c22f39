// Making, ending and bounding heaps.

import KAllocAtomics

extension Heap {
  /// Makes a heap of its own.
  ///
  /// - Throws: `.outOfMemory` where address space or memory is refused, `.nodeUnavailable` for a topology without
  ///   nodes. Nothing is left behind then.
  public static func create(_ configuration: HeapConfiguration) throws(AllocError) -> Heap {
    let state: HeapState
    switch unsafe HeapState.make(configuration, handle: nil) {
    case .success(let made): state = made
    case .failure(let error): throw error
    }
    if state.mode == .rseq {
      // From `publish` on sections find a CPU in every heap, also in the global one, which need not exist yet.
      guard ka_heap_close_global(unsafe UInt32(state.record.pointee.cpuCount)) else {
        unsafe state.dispose()
        throw .outOfMemory
      }
    }
    let handle = unsafe state.heap
    // (S) release, as for the global heap.
    unsafe AtomicWord(ka_heap_state_word(handle)).storeRelease(UInt64(UInt(bitPattern: state.record)))
    state.publish()
    return unsafe Heap(handle)
  }

  /// Makes the global heap from `configuration`, which must not give memory; without effect where it exists already.
  ///
  /// Its first allocation does the same with the system's topology. Thread-safety: Concurrent.
  /// - Returns: whether this call has made it.
  /// - Throws: as `create`.
  public static func startGlobal(_ configuration: HeapConfiguration) throws(AllocError) -> Bool {
    precondition(configuration.memory == nil, "The global heap takes its memory from the system")
    switch Heap.global.start(configuration) {
    case .success((_, let isNew)): return isNew
    case .failure(let error): throw error
    }
  }

  /// Ends a heap that `create` made, with everything in it.
  ///
  /// - Returns: false where blocks are still allocated: they are reported on standard error, and the heap stays. False for
  ///   the global heap, too, which is never ended, used or not.
  ///
  /// Externally synchronised: no other call on this heap is under way or follows.
  public func destroy() -> Bool {
    guard self != .global, let state = existingState else { return false }
    state.collect()
    let left = state.control(.committed).loadRelaxed()
    if left != 0 {
      Report.line("kalloc: heap not destroyed, bytes of slabs and runs still in use: ", hexadecimal: left)
      return false
    }
    unsafe state.dispose()
    return true
  }

  /// Adds a range that the caller gives to the memory of `node`. Its metadata is carved from its front.
  ///
  /// - Throws: `.outOfMemory` where nothing is left for frames, `.nodeUnavailable`.
  ///
  /// Thread-safety: Concurrent.
  public func addRegion(_ memory: HeapConfiguration.Memory, node: NodeIndex) throws(AllocError) {
    switch state() {
    case .success(let state): if let error = state.addRegion(memory, node: node) { throw error }
    case .failure(let error): throw error
    }
  }

  /// Empties all caches and gives free memory back. Returns the bytes that the operating system has back.
  ///
  /// O(stacks of all CPUs + depots + what is in them + blocks of 2 MiB in which anything was freed since the last time). It waits for other
  /// CPUs' barriers where their stacks hold anything.
  /// CPUs that run threads of this process go on meanwhile, on the shared path. Thread-safety: Concurrent.
  @discardableResult
  public func trim() -> Int { existingState?.trim() ?? 0 }

  /// Empties all caches into the slabs and pages, without giving memory back. Thread-safety: Concurrent.
  public func drain() { existingState?.collect() }

  /// Empties the caches of the CPUs that have not moved an object for `milliseconds`, into the slabs and pages; in `thread` mode
  /// those of the threads; and what all CPUs share, as far as nobody has taken of it between two looks that were as far apart. Frees of
  /// frames do the same once in a second, a part at a time, which is a look, too: where there are such frees, what CPUs share waits for
  /// them if `milliseconds` is more than 1000. This is for a caller with a clock of its own.
  ///
  /// The time counts from the first look, this caller's or another's, that saw a CPU as it is; where nobody has
  /// looked before, a call for a time above 0 drains nothing. 0 takes the CPUs that have moved none since anybody looked last, which may be a moment ago where several
  /// callers look.
  /// - Returns: whether no CPU has moved one in that time: the heap is idle.
  ///
  /// Thread-safety: Concurrent.
  public func drainIdle(olderThan milliseconds: Int = 0) -> Bool {
    existingState?.drainIdle(for: UInt64(max(milliseconds, 0)), now: ka_os_milliseconds()) ?? true
  }

  /// Gives back free memory that has lain for `milliseconds`, up to `bytes`. Returns the bytes given back.
  ///
  /// Thread-safety: Concurrent.
  public func purge(upTo bytes: Int, olderThan milliseconds: Int) -> Int {
    guard let state = existingState, bytes > 0, milliseconds >= 0 else { return 0 }
    var frames = 0
    for node in 0..<state.nodeCount where frames < bytes >> Frames.usualShift {
      frames += state.purge(
        NodeIndex(node), upTo: bytes >> Frames.usualShift - frames, olderThan: UInt64(milliseconds),
        now: ka_os_milliseconds())
    }
    return frames << Frames.usualShift
  }

  /// The most bytes that may be committed to slabs, runs and page stacks at once; `Int.max`: no limit.
  ///
  /// At the limit an allocation reclaims once, where its flags allow it, then fails with `.limitExceeded`. A limit below what is committed stops
  /// growth. Negative values count as 0. Thread-safety: Concurrent.
  public var limit: Int {
    get { existingState.map { Int(truncatingIfNeeded: $0.control(.limit).loadRelaxed()) } ?? .max }
    nonmutating set { possibleState?.control(.limit).storeRelaxed(UInt64(max(newValue, 0))) }
  }

  /// Bytes of frames and mappings that are in slabs, runs and page stacks. Thread-safety: Concurrent.
  public var committedBytes: Int {
    existingState.map { Int(truncatingIfNeeded: $0.control(.committed).loadRelaxed()) } ?? 0
  }

  /// What caches are bound to in this heap; makes the heap where it was never used, `nil` where that fails.
  public var mode: BindingMode? { possibleState?.mode }

  /// The nodes of this heap; makes the heap where it was never used, one node where that fails.
  public var topology: Topology { possibleState?.topology ?? .single }
}
