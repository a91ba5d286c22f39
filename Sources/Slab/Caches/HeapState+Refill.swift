// The slow path of an allocation: the caller's stack was empty, closed or stopped, or its section was aborted.
//
//     pop again ─▶ full magazine from the depot ─▶ empty magazine filled from slabs or rows ─▶ shared path
//
// At least N operations lie between two visits of a CPU to the depot: a flush takes N of at least 2N pointers, and a
// refill gives N, from several magazines where the first is not full. Fewer, where depot and slabs have no N left before
// a new slab is cut, and while the stack has not grown to its capacity (it begins with 16 and doubles at each visit).
//
// A magazine is owned while it is emptied onto the stack, so a signal handler or another thread finds the others, or
// none and goes on. What does not fit on the stack stays in the magazine. After a refill the thread may be on another
// CPU: the section that pushes finds that CPU's stack, and never writes the old one's.

import KAllocAtomics

extension HeapState {
  /// How often an operation is tried again after an abort before it goes the shared path: single-stepping debuggers
  /// and storms of aborts come to an end.
  static let retries = 32

  /// An object or page for `stack`.
  @inline(never)
  func allocateSlow(_ stack: StackIndex, flags: AllocFlags) -> Result<UInt64, AllocError> {
    let info = info(stack)
    guard let cache = LocalCache(self) else { return allocateShared(info, flags: flags, node: localNode) }
    for _ in 0..<HeapState.retries {
      let object = cache.pop(CPURegion.offset(stack))
      if object != 0 { return .success(object) }
      switch cache.condition(info) {
      case .closed: cache.open(info)
      case .stopped:
        cache.region.count(.shared)
        return allocateShared(info, flags: flags, node: localNode)
      case .open(let capacity):
        if cache.region.fill(info) > 0 {
          cache.region.count(.aborts)
          continue
        }
        cache.region.count(.refills)
        return refill(cache, info, capacity: capacity, flags: flags)
          ?? allocateShared(info, flags: flags, node: localNode)
      }
    }
    cache.region.count(.shared)
    return allocateShared(info, flags: flags, node: localNode)
  }

  /// Fills the caller's stack, and gives it one object more. `nil`: every magazine of the depot is owned by others.
  private func refill(
    _ cache: LocalCache, _ info: StackInfo, capacity: Int, flags: AllocFlags
  ) -> Result<UInt64, AllocError>? {
    cache.grow(info, from: capacity)
    let node = localNode
    let depot = depot(info, on: node)
    var magazine: Depot.Magazine
    if let full = depot.takeFull() {
      magazine = full
      cache.region.count(.depotTakes)
    } else if let empty = depot.takeEmpty() {
      magazine = empty
      let limit = min(max(capacity / 2, 1), info.batch)
      switch unsafe fill(info, upTo: limit, into: empty.pointers, flags: flags, node: node) {
      case .success(let count): magazine.count = count
      case .failure(let error):
        depot.put(magazine)
        return .failure(error)
      }
      reverse(magazine)
    } else {
      return nil
    }
    let count = magazine.count &- 1
    let object = unsafe magazine.pointers[count]
    let moved = unsafe cache.pushBatch(CPURegion.offset(info.stack), from: magazine.pointers, limit: count)
    magazine.count = count &- moved
    depot.put(magazine)
    topUp(cache, info, depot, from: moved)
    return .success(object)
  }

  /// Moves pointers of further magazines onto the caller's stack, which a refill gave `moved`, until it was given N with the
  /// one that the caller gets. Each magazine but the last is left empty, so that partial ones do not add up.
  private func topUp(_ cache: LocalCache, _ info: StackInfo, _ depot: Depot, from moved: Int) {
    var moved = moved
    while moved < info.batch &- 1, let magazine = depot.takeFull() {
      let wanted = min(magazine.count, info.batch &- 1 &- moved)
      let left = magazine.count &- wanted
      let got = unsafe cache.pushBatch(CPURegion.offset(info.stack), from: magazine.pointers + left, limit: wanted)
      magazine.count = left &+ wanted &- got
      depot.put(magazine)
      // No room: the stack is not at its largest, or the thread is on another CPU.
      if got < wanted { return }
      cache.region.count(.depotTakes)
      moved &+= got
    }
  }

  /// Slabs give lowest addresses first; a stack gives back what was pushed last.
  private func reverse(_ magazine: Depot.Magazine) {
    var low = 0
    var high = magazine.count &- 1
    while low < high {
      let word = unsafe magazine.pointers[low]
      unsafe magazine.pointers[low] = magazine.pointers[high]
      unsafe magazine.pointers[high] = word
      low &+= 1
      high &-= 1
    }
  }

  /// One object straight from the slabs or rows of `node` or its neighbours: no cache is touched.
  func allocateShared(_ info: StackInfo, flags: AllocFlags, node: NodeIndex) -> Result<UInt64, AllocError> {
    var object: UInt64 = 0
    let filled = unsafe fill(info, upTo: 1, into: &object, flags: flags, node: node)
    if case .failure(let error) = filled { return .failure(error) }
    return .success(object)
  }
}
