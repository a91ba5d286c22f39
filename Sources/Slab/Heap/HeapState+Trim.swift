// Giving memory back: everything that caches hold goes to the slabs, empty slabs to the pages, free pages to the
// operating system. On request, when the limit is reached, and in passing:
//
// by growth    before a slab is cut in a heap that has grown by a quarter since the caches were emptied last, and by
//              16 MiB, they are emptied: a cached object keeps its slab, and of a class that is used no more nobody comes
//              for it. As the marks are apart geometrically, this costs O(1) for each byte that the heap grows. Other CPUs
//              that hold little keep it: a drain stops them all, which in a virtual machine may take milliseconds.
// by touch     where a slab or a large block would take pages that were never touched, and this CPU's stacks hold 256 KiB of large
//              blocks of other lengths, those go back first: the first touch of one page costs more than to claim several blocks.
// by age       once in a second somebody gives back what has been free for a second, `purgeBatchBytes` at a time, so that no
//              free takes long.
// by budget    where more than `retainedBytes` are free and dirty, a hundred times a second a quarter of what is more, of what has been
//              free for 20 ms: most of it is gone after a tenth of a second, and a program that takes it again soon finds some left.
//              How much is free and dirty is not counted frame by frame: `backed`, the most that was committed since
//              the last purge, less what is committed now. That is too little where new blocks were taken beside dirty
//              ones, which age finds.
//
// by idleness  at most once in a second the stacks of CPUs are emptied that were used in the second before and not since,
//              and depots' magazines that nobody has taken in that time, 32 of them.
//
// What a free does in passing stands at its end, where the stack is short: it needs 2 KiB, and a signal handler has few.
//
// What is freed and taken again within 20 ms stays, however much it is: to have its pages faulted in every time would cost more
// than all the rest.

import KAllocAtomics

/// The rounds of reclaim that one allocation may make when it fails for want of memory.
struct Reclaim {
  private let state: HeapState
  private let flags: AllocFlags
  private var rounds: Int

  init(_ state: HeapState, _ flags: AllocFlags) {
    self.state = state
    self.flags = flags
    rounds = !flags.contains(.reclaim) ? 0 : flags.contains(.retryMayFail) ? 4 : 1
  }

  /// Empties the caches, where that may help against `error` and `flags` allow it. False: the failure stands.
  mutating func helps(_ error: AllocError) -> Bool {
    if rounds == 0 { return false }
    rounds -= 1
    let before = state.control(.committed).loadRelaxed()
    state.collect()
    return !flags.contains(.noRetry) || state.control(.committed).loadRelaxed() < before
  }
}

extension HeapState {
  /// Empties all caches and purges all free memory. Returns the bytes that went back to the operating system.
  ///
  /// The own stacks by sections, so that there is no barrier where no other CPU holds anything.
  func trim() -> Int {
    emptyOwnStacks()
    collect(draining: holdsPointers)
    var frames = purgeSlabs()
    for node in 0..<nodeCount { frames &+= purge(NodeIndex(node), upTo: .max, olderThan: 0, now: 0) }
    return frames &* Frames.bytes
  }

  /// Empties all caches: stacks, unless they are not worth the barriers of a drain, depots, and the empty slabs that were kept.
  func collect(draining: Bool = true) {
    if draining { drainAll() }
    for node in 0..<nodeCount {
      for stack in 0..<StackIndex.withDepot {
        let info = info(StackIndex(rawValue: stack))
        let depot = depot(info, on: NodeIndex(node))
        // As many as there can be: others may fill them as fast.
        for _ in 0..<StackInfo.depotSlots {
          guard let magazine = depot.takeFull() else { break }
          unsafe spill(info, magazine.pointers, count: magazine.count)
          magazine.count = 0
          depot.put(magazine)
        }
      }
    }
    // After all depots: those of one node may hold objects of another, whose slabs become spares only now.
    for node in 0..<nodeCount {
      var regions = pages(NodeIndex(node)).regions
      while let region = regions.next() {
        for index in 0..<SizeClass.count {
          let info = info(StackIndex(SizeClass(index: index)))
          if SlabTable(of: region).retireSpare(SizeClass(index: index)) { ended(info.slab, on: region) }
        }
      }
    }
  }

  /// Empties all caches where the heap has grown enough, and gives back what then is free beyond the budget.
  func collectInGrowth() {
    let word = control(.growth)
    // Relaxed: a mark, which publishes nothing. Who moves it on collects.
    let mark = word.loadRelaxed()
    let committed = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    if committed < Int(truncatingIfNeeded: mark) { return }
    if word.compareExchangeRelaxed(mark, HeapState.growthMark(committed: committed)) != mark { return }
    // The first slab.
    if mark == 0 { return }
    emptyOwnStacks()
    collect(draining: heldBytes > committed / HeapState.drainShare)
    let left = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    word.storeRelaxed(HeapState.growthMark(committed: left))
    var frames = max(excess, 0) / Frames.bytes
    for node in 0..<nodeCount { frames &-= purge(NodeIndex(node), upTo: frames, olderThan: 0, now: 0) }
  }

  /// Returns the pointers in the caller's own stacks to slabs and rows, which needs no barrier. A caller that moves on to another
  /// CPU goes on with that one's.
  func emptyOwnStacks(_ stacks: Range<Int> = 0..<StackIndex.count) {
    guard let cache = LocalCache(self) else { return }
    for index in stacks {
      let stack = StackIndex(rawValue: index)
      let info = info(stack)
      // As many as there can be: others may fill it as fast.
      for _ in 0...(info.capacity / info.batch) where cache.region.fill(info) > 0 {
        if !returnNewest(info, of: cache) { break }
      }
    }
  }

  /// Returns the large blocks in the caller's own stacks to the page level where they are `bytes` or more. Returns whether.
  func returnOwnRuns(atLeast bytes: Int) -> Bool {
    guard let cache = LocalCache(self) else { return false }
    let region = cache.region
    let stacks = StackIndex.withDepot..<StackIndex.count
    var held = 0
    for index in stacks {
      let info = info(StackIndex(rawValue: index))
      held &+= region.fill(info) &* info.objectBytes
    }
    if held < bytes { return false }
    emptyOwnStacks(stacks)
    return true
  }

  /// Returns a magazine's worth of the newest pointers, or one where they have no depot. False: there was none, or every magazine
  /// is owned.
  private func returnNewest(_ info: StackInfo, of cache: LocalCache) -> Bool {
    // What is free now is purged by the caller, where there is too much of it: this is in an allocation, where the stack is deep.
    if !info.stack.hasDepot {
      var object = cache.pop(CPURegion.offset(info.stack))
      if object != 0 { _ = unsafe giveBack(info, &object, count: 1) }
      return object != 0
    }
    // The thread may move to another node's CPU before the magazine goes back.
    let node = localNode
    guard let (magazine, _) = emptyMagazine(info, on: node) else { return false }
    let count = unsafe cache.popBatch(CPURegion.offset(info.stack), into: magazine.pointers, limit: info.batch)
    _ = unsafe giveBack(info, magazine.pointers, count: count)
    magazine.count = 0
    depot(info, on: node).put(magazine)
    return count > 0
  }

  /// A drain in growth is worth its barriers, which stop every CPU that runs the process, where the CPUs may hold this part of
  /// the heap.
  private static var drainShare: Int { 4 }

  /// The bytes of pages and large blocks, and of slabs if each object is in one of its own, that all CPUs' stacks hold; clamped
  /// while they are in use.
  private var heldBytes: Int {
    var bytes = 0
    for region in 0..<regionsUsed {
      for stack in 0..<StackIndex.count {
        let info = info(StackIndex(rawValue: stack))
        let each = info.stack.sizeClass == nil ? info.objectBytes : info.slab.frames &* Frames.bytes
        bytes &+= self.region(region).fill(info) &* each
      }
    }
    return bytes
  }

  private static func growthMark(committed: Int) -> UInt64 {
    UInt64(truncatingIfNeeded: committed &+ committed / 4 &+ 16 << 20)
  }

  /// Gives free memory of a node back, and counts it. Returns the frames.
  func purge(_ node: NodeIndex, upTo frames: Int, olderThan age: UInt64, now: UInt64) -> Int {
    let released = pages(node).purge(upTo: frames, olderThan: age, now: now)
    unback(released &* Frames.bytes)
    return released
  }

  // MARK: In passing

  /// Bytes that may lie free and dirty, whatever their age: an eighth of what is in use, and 8 MiB.
  private static func retainedBytes(committed: Int) -> Int { 8 << 20 &+ committed / 8 }
  /// How long anything may, in milliseconds, and how often that is looked at.
  private static var purgeAge: UInt64 { 1000 }
  /// The same where more is free than may be.
  private static var retainedAge: UInt64 { 20 }
  private static var retainedInterval: UInt64 { 10 }
  /// Of what is more, this part goes back at a time, and so many bytes at least.
  private static var excessShare: Int { 4 }
  private static var leastExcess: Int { 1 << 20 }
  /// Bytes that go back at once.
  private static var purgeBatchBytes: Int { 64 << 20 }

  /// About the bytes that are free and dirty beyond what may be; at most 0: none, or the estimate is behind.
  private var excess: Int {
    let committed = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    let backed = Int(truncatingIfNeeded: control(.backed).loadRelaxed())
    return backed &- committed &- HeapState.retainedBytes(committed: committed)
  }

  /// Called where frames of `region` were freed (`nil`: none), when nothing else is left to do: now and then gives some back.
  func purgeInPassing(_ region: PageRegion?) {
    if let region { purgeInPassing(region, now: ka_os_milliseconds()) }
  }

  /// The same, at most once in the time that applies, by whoever moves the clock on.
  func purgeInPassing(_ region: PageRegion, now: UInt64) {
    if !growsByOS { return }
    let excess = excess
    let hurries = excess > 0
    let interval = hurries ? HeapState.retainedInterval : HeapState.purgeAge
    if !moveOn(.purged, to: now, after: interval) { return }
    if moveOn(.looked, to: now, after: HeapState.purgeAge) {
      _ = drainIdle(for: HeapState.purgeAge, now: now, magazines: HeapState.magazinesInPassing)
    }
    let most = hurries ? max(excess / HeapState.excessShare, HeapState.leastExcess) : .max
    let batch = min(most, HeapState.purgeBatchBytes) / Frames.bytes
    let age = hurries ? HeapState.retainedAge : HeapState.purgeAge
    let released = purge(region.node, upTo: batch, olderThan: age, now: now)
    // There may be more: the next batch need not wait for a second.
    if released >= batch && !hurries {
      control(.purged).storeRelaxed(now &- HeapState.purgeAge &+ HeapState.retainedInterval)
    }
  }

  /// Magazines that rest and are returned once in a second: one costs some microseconds.
  private static var magazinesInPassing: Int { 32 }

  /// Moves a clock of the heap to `now`. False: `milliseconds` have not passed since it was moved last, or another thread does so now.
  func moveOn(_ clock: Control, to now: UInt64, after milliseconds: UInt64) -> Bool {
    let word = control(clock)
    // Relaxed: a clock, which publishes nothing.
    let last = word.loadRelaxed()
    // Signed: another thread may have moved the clock on after `now` was read.
    if Int64(bitPattern: now &- last) < Int64(bitPattern: milliseconds) { return false }
    return word.compareExchangeRelaxed(last, now) == last
  }
}
