// Giving memory back: everything that caches hold goes to the slabs, empty slabs to the pages, free pages to the
// operating system. On request, when the limit is reached, and in passing when much is free.

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
  func trim() -> Int {
    collect()
    var frames = 0
    for node in 0..<nodeCount { frames &+= pages(NodeIndex(node)).purge(upTo: .max, olderThan: 0, now: 0) }
    return frames &* Frames.bytes
  }

  /// Empties all caches: stacks, depots, and the empty slabs that were kept.
  func collect() {
    drainAll()
    for node in 0..<nodeCount {
      for stack in 0..<StackIndex.count {
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
      var region = pages(NodeIndex(node)).first
      while let pages = region {
        for index in 0..<SizeClass.count {
          let info = info(StackIndex(SizeClass(index: index)))
          if SlabTable(of: pages).retireSpare(SizeClass(index: index)) { ended(info.slab, on: pages) }
        }
        region = self.pages(NodeIndex(node)).next(after: pages)
      }
    }
  }

  /// How long memory lies free and dirty before it goes back in passing.
  static let purgeAgeMilliseconds: UInt64 = 1000
  /// The time between two looks, and the blocks of 2 MiB that each is at: 640 MiB in a second, and what one free may have to
  /// do for it is bounded.
  static let purgeIntervalMilliseconds: UInt64 = 50
  static let purgeBlocks = 16

  /// Called where frames were freed: now and then gives back what has been free for long.
  ///
  /// At most once in `purgeIntervalMilliseconds`, by whoever moves the time on, and a few blocks further on each time.
  func purgeInPassing(_ region: PageRegion) {
    if !growsByOS { return }
    let now = ka_os_milliseconds()
    let word = control(.purged)
    // Relaxed: a clock, which publishes nothing.
    let last = word.loadRelaxed()
    if now &- last < HeapState.purgeIntervalMilliseconds { return }
    if word.compareExchangeRelaxed(last, now) != last { return }
    // Relaxed: a place to go on at. Two that come here at once look at the same blocks.
    let cursor = control(.purgeCursor)
    let found = Int(truncatingIfNeeded: cursor.loadRelaxed())
    let first = found < region.high ? found : 0
    let end = min(first &+ HeapState.purgeBlocks, region.high)
    cursor.storeRelaxed(UInt64(truncatingIfNeeded: end))
    _ = region.purge(first..<end, upTo: .max, olderThan: HeapState.purgeAgeMilliseconds, now: now)
  }
}
