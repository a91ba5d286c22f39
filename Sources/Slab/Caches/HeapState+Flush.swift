// The slow path of a free: the caller's stack was full, closed or stopped, its section was aborted, or the heap has
// several nodes and the object's node must be compared first.
//
//     push again ─▶ N pointers into an empty magazine ─▶ depot full: empty its lowest magazine to the slabs first
//
// What leaves a CPU's stack for the depot is looked at: an address that is no object of the class, an object that its slab
// has already, and one that is in the batch twice end the process there. Two copies that leave in different batches are found
// when the second comes to the slab.

import KAllocAtomics

extension HeapState {
  /// Takes back an object or page that `stack` gave.
  @inline(never)
  func deallocateSlow(_ stack: StackIndex, _ object: UInt64) {
    let info = info(stack)
    guard let cache = LocalCache(self) else { return deallocateShared(info, object) }
    if nodeCount > 1, sendHome(cache, info, object) { return }
    for _ in 0..<HeapState.retries {
      if cache.push(CPURegion.offset(stack), object) {
        if nodeCount == 1 { cache.alignEnd(info) }
        return
      }
      switch cache.condition(info) {
      case .closed: cache.open(info)
      case .stopped:
        cache.region.count(.shared)
        return deallocateShared(info, object)
      case .open(let capacity):
        if cache.region.fill(info) < capacity {
          cache.region.count(.aborts)
          continue
        }
        if capacity < info.capacity {
          cache.grow(info, from: capacity)
          continue
        }
        cache.region.count(.flushes)
        if !flush(cache, info, to: localNode) { return deallocateShared(info, object) }
      }
    }
    cache.region.count(.shared)
    deallocateShared(info, object)
  }

  /// Moves the newest N pointers of the caller's stack into the depot of `node`. False: there is none, or every magazine is owned.
  private func flush(_ cache: LocalCache, _ info: StackInfo, to node: NodeIndex) -> Bool {
    guard info.stack.hasDepot, let (magazine, freed) = emptyMagazine(info, on: node) else { return false }
    magazine.count = unsafe cache.popBatch(CPURegion.offset(info.stack), into: magazine.pointers, limit: info.batch)
    check(info, magazine)
    cache.region.count(.depotPuts)
    depot(info, on: node).put(magazine)
    purgeInPassing(freed)
    return true
  }

  /// An empty magazine, by emptying a full one to the slabs where there is no other, and where frames are free now: for
  /// `purgeInPassing`, when the magazine has been put.
  func emptyMagazine(_ info: StackInfo, on node: NodeIndex) -> (magazine: Depot.Magazine, freed: PageRegion?)? {
    let depot = depot(info, on: node)
    if let empty = depot.takeEmpty() { return (empty, nil) }
    guard let full = depot.takeFull() else { return nil }
    let freed = unsafe giveBack(info, full.pointers, count: full.count)
    full.count = 0
    return (full, freed)
  }

  /// Traps where an address that leaves a CPU's stack is no object of its class, or free already, or there twice.
  func check(_ info: StackInfo, _ magazine: Depot.Magazine) {
    var index = 0
    let count = magazine.count
    while index < count {
      let address = unsafe magazine.pointers[index]
      guard let region = pages(containing: address) else { Misuse.foreignFree.trap(at: address) }
      let checked = unsafe objects(in: magazine.pointers + index, count: count &- index, info, region)
      // One that answers to the class but is none of it goes on with the others.
      if checked == 0 && !isRelabelled(address) { trap(info, address, region) }
      index &+= max(checked, 1)
    }
    if let address = unsafe firstDuplicate(in: magazine.pointers, count: count) { Misuse.doubleFree.trap(at: address) }
  }

  /// Ends the process for an address that may not leave the stack: it begins an object or pages that are free, or none.
  private func trap(_ info: StackInfo, _ address: UInt64, _ region: PageRegion) -> Never {
    if info.stack.sizeClass == nil { trapPages(address, of: region) }
    (SlabTable(of: region).place(address, info.slab) != nil ? Misuse.doubleFree : Misuse.foreignFree).trap(at: address)
  }

  /// One object straight back to its slab or row.
  func deallocateShared(_ info: StackInfo, _ object: UInt64) {
    var address = object
    unsafe spill(info, &address, count: 1)
  }
}
