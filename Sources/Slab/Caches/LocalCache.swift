// The operations of the slow path on the caller's own region, in the modes that have one.
//
// rseq     Restartable sections: each finds the current CPU anew, so a thread that migrated between two of them works
//          on the new CPU's region, and never writes the old one's.
// thread   Plain steps on the region of the thread's slot. Two things may interfere: a signal handler on the same
//          thread, which finds `busy` set and takes the shared path; and a thread that drains the region, which closes
//          the gate, makes every thread pass a full barrier, and gives up where it finds `busy` set. Label (T):
//          busy is set before the gate is read, the gate is set before busy is read, and the barrier lies between.
//
// In `shared` mode nobody has a region, and there is no LocalCache.

import KAllocAtomics

/// The caller's cache. This CPU only (in `thread` mode: this thread only).
///
/// The operations name a stack by the byte in the region at which its words stand, because the outgoing magazines have
/// regions of the same kind with other stacks in them.
@safe
struct LocalCache {
  let state: HeapState
  /// What the sections find the region by, and the region of CPU or slot 0.
  nonisolated(unsafe) private let handle: UnsafeMutablePointer<ka_heap>
  nonisolated(unsafe) private let regions: UnsafeMutableRawPointer
  /// The slot in `thread` mode; negative in `rseq` mode.
  private let slot: Int32

  /// The caller's own region. `nil`: it has none and takes the shared path.
  @inline(__always)
  init?(_ state: HeapState) {
    unsafe self.init(state, handle: state.heap, regions: state.record.pointee.regions)
  }

  /// > Safety: `regions` are `state.regionCount` regions, found through `handle` in `rseq` mode.
  @unsafe @inline(__always)
  init?(_ state: HeapState, handle: UnsafeMutablePointer<ka_heap>, regions: UnsafeMutableRawPointer) {
    self.state = state
    unsafe self.handle = handle
    unsafe self.regions = regions
    switch state.mode {
    case .rseq:
      slot = -1
      // Until `publish` the sections find regions that are nobody's: what a stack opened there holds would be lost.
      // Relaxed: the word changes once, and a section reads it after this.
      let published = unsafe AtomicWord(ka_heap_regions_word(handle)).loadRelaxed()
      if published != UInt64(UInt(bitPattern: regions)) { return nil }
    case .thread:
      slot = ka_thread_slot()
      if slot < 0 || Int(slot) >= state.regionCount { return nil }
    case .shared: return nil
    }
  }

  /// The region at the moment of the call.
  var region: CPURegion { region(index) }

  private func region(_ index: Int) -> CPURegion { unsafe CPURegion(regions + index &* CPURegion.bytes) }

  /// The number of that region.
  var index: Int { slot >= 0 ? Int(slot) : min(Int(ka_current_cpu()), state.regionCount &- 1) }

  // MARK: `thread` mode

  /// Runs `body` on the thread's region; 0 where a handler interrupted the thread inside, or the region is stopped.
  /// Not generic, for the reason in `Transitions.swift`.
  @inline(__always)
  private func exclusively(_ body: (CPURegion) -> UInt64) -> UInt64 {
    let region = region
    let busy = region.busy
    // Relaxed: only this thread and its handlers write 1; a handler sees it in program order.
    if busy.loadRelaxed() != 0 { return 0 }
    busy.storeRelaxed(1)
    ka_fence_signal()
    // (T) busy, then the gate; the drainer's barrier orders the two for both sides.
    let result = region.gate.loadAcquire() == CPURegion.open ? body(region) : 0
    ka_fence_signal()
    // (T) release, so that a drainer that reads 0 sees the region as this operation left it.
    busy.storeRelease(0)
    return result
  }

  @inline(__always)
  private func slots(_ address: UInt64) -> WordArray {
    unsafe WordArray(UnsafeMutableRawPointer(bitPattern: UInt(address))!)
  }

  // MARK: Operations

  /// Takes the newest pointer; 0: empty, closed, stopped or interrupted.
  @inline(__always)
  func pop(_ stack: Int) -> UInt64 {
    if slot < 0 { return unsafe ka_section_pop(handle, UInt64(truncatingIfNeeded: stack)) }
    return exclusively { region in
      let top = region.top(at: stack).loadRelaxed()
      if top <= region.begin(at: stack).loadRelaxed() { return 0 }
      region.top(at: stack).storeRelaxed(top &- 8)
      return slots(top &- 8)[0].loadRelaxed()
    }
  }

  /// Puts a pointer on top; false: full, closed, stopped or interrupted.
  @inline(__always)
  func push(_ stack: Int, _ object: UInt64) -> Bool {
    if slot < 0 { return unsafe ka_section_push_room(handle, UInt64(truncatingIfNeeded: stack), object) }
    return exclusively { region in
      let top = region.top(at: stack).loadRelaxed()
      if top >= region.room(at: stack).loadRelaxed() { return 0 }
      slots(top)[0].storeRelaxed(object)
      region.top(at: stack).storeRelaxed(top &+ 8)
      return 1
    } != 0
  }

  /// Moves up to `limit` of the newest pointers to `target`, oldest first. Returns how many.
  ///
  /// > Safety: `target` has room for `limit` and is the caller's alone.
  @unsafe
  func popBatch(_ stack: Int, into target: UnsafeMutablePointer<UInt64>, limit: Int) -> Int {
    if slot < 0 {
      let bytes = unsafe ka_section_pop_batch(
        handle, UInt64(truncatingIfNeeded: stack), target, UInt64(truncatingIfNeeded: limit &* 8))
      return Int(truncatingIfNeeded: bytes) / 8
    }
    let moved = exclusively { region in
      let top = region.top(at: stack).loadRelaxed()
      let begin = region.begin(at: stack).loadRelaxed()
      if top <= begin { return 0 }
      let count = min(Int(truncatingIfNeeded: top &- begin) / 8, limit)
      let from = top &- UInt64(truncatingIfNeeded: count &* 8)
      for index in 0..<count { unsafe target[index] = slots(from)[index].loadRelaxed() }
      region.top(at: stack).storeRelaxed(from)
      return UInt64(truncatingIfNeeded: count)
    }
    return Int(truncatingIfNeeded: moved)
  }

  /// Moves the last `limit` pointers of `source`, or as many as there is room for, onto the stack. Returns how many.
  ///
  /// > Safety: `source` holds `limit` pointers and is the caller's alone.
  @unsafe
  func pushBatch(_ stack: Int, from source: UnsafeMutablePointer<UInt64>, limit: Int) -> Int {
    if limit == 0 { return 0 }
    if slot < 0 {
      let bytes = unsafe ka_section_push_batch(
        handle, UInt64(truncatingIfNeeded: stack), source + limit, UInt64(truncatingIfNeeded: limit &* 8))
      return Int(truncatingIfNeeded: bytes) / 8
    }
    let moved = exclusively { region in
      let top = region.top(at: stack).loadRelaxed()
      let room = region.room(at: stack).loadRelaxed()
      if top >= room { return 0 }
      let count = min(Int(truncatingIfNeeded: room &- top) / 8, limit)
      for index in 0..<count { unsafe slots(top)[index].storeRelaxed(source[limit &- count &+ index]) }
      region.top(at: stack).storeRelaxed(top &+ UInt64(truncatingIfNeeded: count &* 8))
      return UInt64(truncatingIfNeeded: count)
    }
    return Int(truncatingIfNeeded: moved)
  }

  /// Replaces one word of a stack on region `index`, where it holds `expected`, the gate is open, and the word at
  /// `guardOffset` holds `guardWord`: what an earlier step left, unless the region was drained since, or that step was
  /// not done because the thread was on another CPU at that moment.
  @discardableResult
  func replace(
    _ index: Int, _ offset: Int, _ expected: UInt64, _ desired: UInt64, where guardOffset: Int, holds guardWord: UInt64
  ) -> Bool {
    if slot < 0 {
      return unsafe ka_section_replace(
        handle, UInt64(truncatingIfNeeded: index), UInt64(truncatingIfNeeded: guardOffset), guardWord,
        UInt64(truncatingIfNeeded: offset), expected, desired)
    }
    return exclusively { region in
      let guarding = unsafe AtomicWord((region.base + guardOffset).assumingMemoryBound(to: UInt64.self))
      let word = unsafe AtomicWord((region.base + offset).assumingMemoryBound(to: UInt64.self))
      if guarding.loadRelaxed() != guardWord || word.loadRelaxed() != expected { return 0 }
      word.storeRelaxed(desired)
      return 1
    } != 0
  }

  /// Whether `address` lies on top of the stack; false where the thread was moved or interrupted meanwhile.
  ///
  /// The stack of another CPU may show the owner of a live object an old slot below a new top, and a region that is being
  /// drained a top whose pointers have gone back. So what a look finds counts only where a section of this CPU finds it again, with
  /// the gate open; it replaces the slot by what it holds.
  func hasOnTop(_ address: UInt64, _ info: StackInfo) -> Bool {
    let index = index
    let region = region(index)
    let count = region.fill(info)
    if count == 0 { return false }
    let slot = info.arrayOffset &+ (count &- 1) &* 8
    // Relaxed: a guess.
    if unsafe WordArray(region.base + slot)[0].loadRelaxed() != address { return false }
    let top = region.array(info) &+ UInt64(truncatingIfNeeded: count &* 8)
    return replace(
      index, slot, address, address, where: CPURegion.offset(info.stack) &+ Int(KA_STACK_TOP), holds: top)
  }

  // MARK: Life of a stack

  /// What the slow path finds when an operation was not done.
  enum Condition {
    /// Never used, or released after a drain: `open` it.
    case closed
    /// Another thread works on the region: take the shared path.
    case stopped
    /// Usable, with room for so many pointers.
    case open(capacity: Int)
  }

  func condition(_ info: StackInfo) -> Condition {
    let region = region
    // (D) acquire, so that a region seen open is seen as its drainer left it.
    if region.gate.loadAcquire() != CPURegion.open { return .stopped }
    let room = region.room(info.stack).loadRelaxed()
    if room == 0 { return .closed }
    return .open(capacity: Int(truncatingIfNeeded: room &- region.array(info)) / 8)
  }

  /// Opens the stack on the current CPU. Several threads of that CPU may be at it at once: each step is a replacement
  /// that only the first of them makes, and only after the step before it, so that no drain or migration between two
  /// steps leaves a stack with limits and without a top. Every intermediate state lets no operation pass: `begin` comes
  /// before `top`, because a top above begin is an object, and `room` after both.
  func open(_ info: StackInfo) {
    let index = index
    state.regionIsUsed(index)
    let array = region(index).array(info)
    let offset = CPURegion.offset(info.stack)
    let limit = array &+ UInt64(min(StackInfo.firstCapacity, info.capacity) &* 8)
    open(index, offset, array, limit)
    if state.nodeCount == 1 {
      replace(index, offset &+ Int(KA_STACK_END), 0, limit, where: offset &+ Int(KA_STACK_ROOM), holds: limit)
    }
  }

  /// The steps but for `end`, for the stack at byte `offset`.
  func open(_ index: Int, _ offset: Int, _ array: UInt64, _ limit: UInt64) {
    let (top, begin, room) = (
      offset &+ Int(KA_STACK_TOP), offset &+ Int(KA_STACK_BEGIN), offset &+ Int(KA_STACK_ROOM)
    )
    replace(index, begin, 0, array, where: room, holds: 0)
    replace(index, top, 0, array, where: begin, holds: array)
    replace(index, room, 0, limit, where: top, holds: array)
  }

  /// Doubles the stack's capacity, up to `StackInfo.capacity`: slow start keeps a small process small.
  func grow(_ info: StackInfo, from capacity: Int) {
    if capacity >= info.capacity { return }
    let index = index
    let array = region(index).array(info)
    let offset = CPURegion.offset(info.stack)
    let old = array &+ UInt64(capacity &* 8)
    let new = array &+ UInt64(min(capacity &* 2, info.capacity) &* 8)
    let room = offset &+ Int(KA_STACK_ROOM)
    replace(index, room, old, new, where: offset &+ Int(KA_STACK_BEGIN), holds: array)
    if state.nodeCount == 1 { replace(index, offset &+ Int(KA_STACK_END), old, new, where: room, holds: new) }
  }

  /// Makes the inlined path's limit equal to the slow path's, where threads that grew the stack at once left it lower.
  func alignEnd(_ info: StackInfo) {
    let index = index
    let region = region(index)
    let end = region.end(info.stack).loadRelaxed()
    let room = region.room(info.stack).loadRelaxed()
    let offset = CPURegion.offset(info.stack)
    if end < room {
      replace(index, offset &+ Int(KA_STACK_END), end, room, where: offset &+ Int(KA_STACK_ROOM), holds: room)
    }
  }
}
