import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F67: how many operations lie between two visits to the depot.
@Suite struct `Visits to the depot` {
  /// A heap in which the calling thread's stack for objects of 64 bytes has its largest capacity and is empty, and the
  /// depot is empty, too. `blocks` are live.
  private func withEmptyStack(
    _ body: (_ heap: Heap, _ depot: Depot, _ info: StackInfo, _ blocks: inout [UnsafeMutableRawPointer]) throws -> Void
  ) throws {
    try withHeap(mode: .thread) { heap in
      let state = try heap.state().get()
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      var blocks = (0..<info.capacity + info.batch).map { _ in heap.allocate(size: 64)! }
      // More than the stack has room for: it doubles up to its largest capacity, and is flushed once.
      for block in blocks { heap.deallocate(block, size: 64) }
      let region = state.region(Int(ka_thread_slot()))
      #expect(Int(region.room(info.stack).loadRelaxed() - region.array(info)) / 8 == info.capacity)
      blocks = []
      let depot = state.depot(info, on: NodeIndex(0))
      while region.fill(info) > 0 || depot.pointers > 0 { blocks.append(heap.allocate(size: 64)!) }
      try body(heap, depot, info, &blocks)
      for block in blocks { heap.deallocate(block, size: 64) }
    }
  }

  /// Puts magazines of `size` pointers into the depot until `count` of the blocks are there.
  private func fill(_ depot: Depot, _ blocks: inout [UnsafeMutableRawPointer], count: Int, size: Int) {
    for _ in 0..<count / size {
      let magazine = depot.takeEmpty()!
      for index in 0..<size { magazine.pointers[index] = UInt64(blocks.removeLast().bits) }
      magazine.count = size
      depot.put(magazine)
    }
  }

  @Test(arguments: [1, 10, 30, 255, 256])
  func `have N allocations between them, also where magazines are not full`(size: Int) throws {
    try withEmptyStack { heap, depot, info, blocks in
      // The depot has 32 magazines.
      let count = min(2 * info.batch, size * StackInfo.depotSlots) / size * size
      fill(depot, &blocks, count: count, size: size)
      let before = heap.statistics().refills
      let cached = Set(blocks)
      for _ in 0..<min(info.batch, count) {
        let block = heap.allocate(size: 64)!
        #expect(!cached.contains(block))
        blocks.append(block)
      }
      #expect(heap.statistics().refills == before + 1)
      #expect(Set(blocks).count == blocks.count)
    }
  }

  @Test func `have N frees between them`() throws {
    try withEmptyStack { heap, _, info, blocks in
      while blocks.count < info.capacity + 4 * info.batch { blocks.append(heap.allocate(size: 64)!) }
      while heap.statistics().cachedObjects > 0 { blocks.append(heap.allocate(size: 64)!) }
      let before = heap.statistics().flushes
      let frees = blocks.count
      for block in blocks { heap.deallocate(block, size: 64) }
      blocks = []
      // The stack has room for so many, and each visit makes room for N more.
      #expect(heap.statistics().flushes - before == (frees - info.capacity - 1) / info.batch + 1)
    }
  }
}

@Suite struct `Outgoing magazines` {
  @Test func `hold objects of their home node, or the heap is not valid`() throws {
    try withHeap(nodes: 2, mode: .thread) { heap in
      let state = try heap.state().get()
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      let flags = AllocFlags.kernel.union(.thisNode)
      let blocks = try (0..<2).map { node in
        try heap.allocate(size: 64, alignment: 16, flags: flags, node: NodeIndex(node)).baseAddress!
      }
      // Whichever node the CPU is of: one of the two is foreign. A thread that was moved between the two frees might have none.
      let slot = Counter()
      nonisolated(unsafe) let freed = blocks
      onOneCPU {
        for block in freed { heap.deallocate(block, size: 64) }
        slot.add(Int(ka_thread_slot()))
      }
      let region = try #require(state.outgoingRegion(slot.value))
      let home = try #require((0..<2).first { state.outgoingFill(region, info.stack, NodeIndex($0)) > 0 })
      #expect(heap.validate() == nil)
      let array = WordArray(region.base + state.outgoing.arrayOffset(info.stack, NodeIndex(home)))
      let kept = array[0].loadRelaxed()
      // The other node's, no object's, and one that its slab has.
      let other = UInt64(blocks[1 - home].bits)
      for wrong in [other, kept + 8, kept + 64 * 100] {
        array[0].storeRelaxed(wrong)
        #expect(heap.validate() == .cachedPointer(address: UInt(wrong)))
      }
      array[0].storeRelaxed(kept)
      #expect(heap.validate() == nil)
    }
  }
}

@Suite struct `A purge in passing` {
  /// Leaves 8 MiB of dirty free frames of that `age` in milliseconds, purges in passing with that clock, and counts what is
  /// left. Age 0: nobody has looked at them yet.
  private func dirtyFrames(
    _ heap: Heap, age: UInt64 = 0, last: (_ now: UInt64) -> UInt64, backed: UInt64? = nil
  ) throws -> Int {
    let state = try heap.state().get()
    let region = state.pages(NodeIndex(0)).first!
    // So that the frees below purge nothing.
    state.control(.backed).storeRelaxed(0)
    state.control(.purged).storeRelaxed(ka_os_milliseconds())
    // Of a length that goes on no stack.
    let size = 2 << 20
    let blocks = (0..<4).map { _ in heap.allocate(size: size)! }
    for block in blocks {
      block.initializeMemory(as: UInt8.self, repeating: 1, count: size)
      heap.deallocate(block, size: size)
    }
    let now = ka_os_milliseconds()
    if age > 0 {
      for block in 0..<region.high { region.ageWord(block).storeRelaxed(BlockAge.since(now &- age).bits) }
    }
    if let backed { state.control(.backed).storeRelaxed(backed) }
    state.control(.purged).storeRelaxed(last(now))
    state.purgeInPassing(region, now: now)
    return heap.statistics().pages.dirtyFrames
  }

  @Test func `gives back what has lain for long, and nothing younger`() throws {
    try withHeap { heap in
      let young = try dirtyFrames(heap, last: { _ in 0 })
      #expect(young >= 8 << 8)
      let old = try dirtyFrames(heap, age: 1000, last: { _ in 0 })
      #expect(old == 0)
    }
  }

  @Test func `waits a second`() throws {
    try withHeap { heap in
      let atOnce = try dirtyFrames(heap, age: 1000, last: { $0 &- 999 })
      #expect(atOnce >= 8 << 8)
      let later = try dirtyFrames(heap, age: 1000, last: { $0 &- 1000 })
      #expect(later == 0)
    }
  }

  @Test func `hurries where more is free than may be, but takes nothing that is in motion`() throws {
    try withHeap { heap in
      let unseen = try dirtyFrames(heap, last: { $0 &- 10 }, backed: 1 << 40)
      #expect(unseen >= 8 << 8)
      let inMotion = try dirtyFrames(heap, age: 19, last: { $0 &- 10 }, backed: 1 << 40)
      #expect(inMotion >= 8 << 8)
      let lying = try dirtyFrames(heap, age: 20, last: { $0 &- 10 }, backed: 1 << 40)
      #expect(lying == 0)
      let later = try dirtyFrames(heap, age: 20, last: { $0 &- 9 }, backed: 1 << 40)
      #expect(later >= 8 << 8)
    }
  }

  @Test func `does not count what could not be allocated as memory in use once`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      let before = state.control(.backed).loadRelaxed()
      #expect(throws: AllocError.self) {
        try heap.allocate(size: 1 << 47, alignment: 16, flags: .kernel, node: nil)
      }
      #expect(state.control(.backed).loadRelaxed() == before)
    }
  }
}
