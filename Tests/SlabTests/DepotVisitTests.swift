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
      var blocks = (0..<3 * info.batch).map { _ in heap.allocate(size: 64)! }
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
    try withEmptyStack { heap, depot, info, blocks in
      for block in blocks.suffix(2 * info.batch) { heap.deallocate(block, size: 64) }
      blocks.removeLast(2 * info.batch)
      for _ in 0..<info.batch { blocks.append(heap.allocate(size: 64)!) }
      for _ in 0..<3 {
        let before = heap.statistics().flushes
        for block in blocks.suffix(info.batch) { heap.deallocate(block, size: 64) }
        blocks.removeLast(info.batch)
        #expect(heap.statistics().flushes <= before + 1)
        for _ in 0..<info.batch { blocks.append(heap.allocate(size: 64)!) }
      }
    }
  }
}

@Suite struct `Outgoing magazines` {
  @Test func `hold objects of their home node, or the heap is not valid`() throws {
    try withHeap(nodes: 2, mode: .thread) { heap in
      let state = try heap.state().get()
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      let flags = AllocFlags.kernel.union(.thisNode)
      // Whichever node this thread is on, and is moved to: one of the two is foreign.
      let blocks = try (0..<2).map { node in
        try heap.allocate(size: 64, alignment: 16, flags: flags, node: NodeIndex(node)).baseAddress!
      }
      for block in blocks { heap.deallocate(block, size: 64) }
      let region = try #require(state.outgoingRegion(Int(ka_thread_slot())))
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
  @Test func `is at a few blocks each time, and comes to all`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      let block = heap.allocate(size: 80 << 20)!
      for offset in stride(from: 0, to: 80 << 20, by: 4096) { (block + offset).storeBytes(of: 1, as: UInt8.self) }
      heap.deallocate(block, size: 80 << 20)
      let region = state.pages(NodeIndex(0)).first!
      let blocks = 0..<region.high
      func count(_ isCounted: (BlockAge) -> Bool) -> Int {
        blocks.count { isCounted(BlockAge(bits: region.ageWord($0).loadRelaxed())) }
      }
      func purge() {
        state.control(.purged).storeRelaxed(0)
        state.purgeInPassing(region)
      }
      #expect(blocks.count >= 40)
      state.control(.purgeCursor).storeRelaxed(0)
      for block in blocks where region.ageWord(block).loadRelaxed() != BlockAge.clean.bits {
        region.ageWord(block).storeRelaxed(BlockAge.fresh.bits)
      }
      // First they are given a time.
      var fresh = count { $0 == .fresh }
      #expect(fresh >= 40)
      while fresh > 0 {
        purge()
        let left = count { $0 == .fresh }
        #expect(left < fresh && left >= fresh - HeapState.purgeBlocks)
        fresh = left
      }
      // Then, when it is old, their memory goes.
      for block in blocks where region.ageWord(block).loadRelaxed() != BlockAge.clean.bits {
        region.ageWord(block).storeRelaxed(BlockAge.since(ka_os_milliseconds() &- 5000).bits)
      }
      state.control(.purgeCursor).storeRelaxed(UInt64(blocks.count))
      var dirty = heap.statistics().pages.dirtyFrames
      #expect(dirty >= 40 * 512)
      while dirty > 0 {
        purge()
        let left = heap.statistics().pages.dirtyFrames
        #expect(left < dirty && left >= dirty - HeapState.purgeBlocks * 512)
        if left == dirty { break }
        dirty = left
      }
      // Not again at once.
      state.control(.purged).storeRelaxed(ka_os_milliseconds())
      let cursor = state.control(.purgeCursor).loadRelaxed()
      state.purgeInPassing(region)
      #expect(state.control(.purgeCursor).loadRelaxed() == cursor)
    }
  }
}
