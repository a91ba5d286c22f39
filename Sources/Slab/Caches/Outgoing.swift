// Outgoing magazines: objects of other nodes that were freed here, on their way home.
//
// Only heaps with several nodes have them. Each CPU has a second region, with a short stack for every pair of home node
// and kind of object that has a depot. A free whose object belongs to another node pushes there; a full stack moves whole into a
// magazine of the home node's depot, so that a free costs one locked instruction for each `capacity` objects, and
// threads of the home node find the objects where they look first.

import KAllocAtomics

extension HeapState {
  /// How the outgoing region of a CPU is divided among `nodeCount` nodes.
  struct Outgoing {
    let nodeCount: Int

    /// Pointers in a stack: what the region has room for, up to 32. Below 2 there are no outgoing magazines.
    var capacity: Int {
      let each = (CPURegion.bytes - Int(KA_STACKS_OFFSET)) / (nodeCount * StackIndex.withDepot) - Int(KA_STACK_BYTES)
      return min(each / 8, 32)
    }

    var stacks: Int { nodeCount * StackIndex.withDepot }

    private func index(_ stack: StackIndex, _ home: NodeIndex) -> Int {
      home.rawValue * StackIndex.withDepot + stack.rawValue
    }

    /// The byte in the region at which the words of a stack stand.
    func offset(_ stack: StackIndex, _ home: NodeIndex) -> Int {
      CPURegion.offset(StackIndex(rawValue: index(stack, home)))
    }

    /// The byte at which its array begins.
    func arrayOffset(_ stack: StackIndex, _ home: NodeIndex) -> Int {
      CPURegion.offset(StackIndex(rawValue: stacks)) + index(stack, home) * capacity * 8
    }
  }

  var outgoing: Outgoing { Outgoing(nodeCount: nodeCount) }

  /// The outgoing region of a CPU or slot; `nil`: this heap has none.
  func outgoingRegion(_ index: Int) -> CPURegion? {
    guard let handle = unsafe record.pointee.outgoing else { return nil }
    return unsafe CPURegion(handle.pointee.regions + index &* CPURegion.bytes)
  }

  /// The pointers on an outgoing stack: exact while its CPU is idle or stopped, clamped otherwise.
  func outgoingFill(_ region: CPURegion, _ stack: StackIndex, _ home: NodeIndex) -> Int {
    let top = region.top(at: outgoing.offset(stack, home)).loadRelaxed()
    let array = UInt64(UInt(bitPattern: unsafe region.base)) &+ UInt64(outgoing.arrayOffset(stack, home))
    return top <= array ? 0 : min(Int(truncatingIfNeeded: top &- array) / 8, outgoing.capacity)
  }

  /// Frees an object of another node into the outgoing magazine for it; false: it belongs to this CPU's node.
  func sendHome(_ cache: LocalCache, _ info: StackInfo, _ object: UInt64) -> Bool {
    guard let region = pages(containing: object) else { Misuse.foreignFree.trap(at: object) }
    let home = region.node
    if home == localNode { return false }
    cache.region.count(.remoteFrees)
    guard info.stack.hasDepot, let handle = unsafe record.pointee.outgoing,
      let outgoingCache = unsafe LocalCache(self, handle: handle, regions: handle.pointee.regions)
    else {
      deallocateShared(info, object)
      return true
    }
    let stack = outgoing.offset(info.stack, home)
    for _ in 0..<HeapState.retries {
      if outgoingCache.push(stack, object) { return true }
      let region = outgoingCache.region
      // (D) acquire, as in `condition`.
      if region.gate.loadAcquire() != CPURegion.open { break }
      if region.room(at: stack).loadRelaxed() == 0 {
        open(outgoingCache, info.stack, home)
      } else {
        guard let (magazine, freed) = emptyMagazine(info, on: home) else { break }
        let limit = min(outgoing.capacity, info.batch)
        magazine.count = unsafe outgoingCache.popBatch(stack, into: magazine.pointers, limit: limit)
        check(info, magazine)
        depot(info, on: home).put(magazine)
        cache.region.count(.depotPuts)
        purgeInPassing(freed)
      }
    }
    deallocateShared(info, object)
    return true
  }

  /// Opens an outgoing stack on the current CPU, step by step as `LocalCache.open` does.
  private func open(_ cache: LocalCache, _ stack: StackIndex, _ home: NodeIndex) {
    let index = cache.index
    guard let region = outgoingRegion(index) else { return }
    regionIsUsed(index)
    let array = UInt64(UInt(bitPattern: unsafe region.base)) &+ UInt64(outgoing.arrayOffset(stack, home))
    let offset = outgoing.offset(stack, home)
    cache.open(index, offset, array, array &+ UInt64(outgoing.capacity &* 8))
  }
}
