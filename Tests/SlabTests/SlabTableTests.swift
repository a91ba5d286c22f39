import CTestSupport
import TestSupport
import Testing

@testable import Slab

/// T49's structure, T41's slabs: the slabs of a region without caches in front (`shared` mode).
@Suite struct `Slabs` {
  private func withSlabs(_ body: (Heap, HeapState, SlabTable) throws -> Void) throws {
    try withHeap(mode: .shared, windowBytes: 64 << 20) { heap in
      let state = try heap.state().get()
      try body(heap, state, SlabTable(of: state.pages(NodeIndex(0)).first!))
    }
  }

  @Test(arguments: 0..<SizeClass.count)
  func `give each object once, lowest addresses first, and end when all are back`(index: Int) throws {
    let sizeClass = SizeClass(index: index)
    try withSlabs { heap, state, table in
      let geometry = SlabGeometry(sizeClass)
      let count = geometry.objects * 2 + 1
      let blocks = (0..<count).map { _ in heap.allocate(size: sizeClass.bytes)! }
      #expect(blocks == blocks.sorted())
      #expect(Set(blocks).count == count)
      #expect(heap.statistics().slabs == 3)
      #expect(heap.committedBytes == 3 * geometry.frames * Frames.bytes)
      for block in blocks {
        let place = table.place(UInt64(block.bits), geometry)
        #expect(place != nil)
        #expect(table.place(UInt64(block.bits) + 8, geometry) == nil)
      }
      // One slab stays, for hysteresis; a drain ends it.
      for block in blocks { heap.deallocate(block, size: sizeClass.bytes) }
      #expect(heap.statistics().slabs == 1)
      #expect(heap.committedBytes == geometry.frames * Frames.bytes)
      heap.drain()
      #expect(heap.committedBytes == 0)
      for frame in 0..<3 * geometry.frames { #expect(table.owners[frame].loadRelaxed() == SlabTable.Owner.none) }
    }
  }

  @Test func `take from the lowest slab that has a free object`() throws {
    try withSlabs { heap, state, table in
      let objects = SlabGeometry(SizeClass(holding: 1024)).objects
      var blocks = (0..<5 * objects).map { _ in heap.allocate(size: 1024)! }
      let holes = [4 * objects + 3, 2 * objects + 1, 7, 3 * objects]
      for hole in holes { heap.deallocate(blocks[hole], size: 1024) }
      for hole in holes.sorted() {
        let block = heap.allocate(size: 1024)
        #expect(block == blocks[hole])
      }
      blocks.shuffle()
      for block in blocks { heap.deallocate(block, size: 1024) }
    }
  }

  @Test func `of other classes are never found by a search`() throws {
    try withSlabs { heap, state, table in
      var blocks: [(UnsafeMutableRawPointer, SizeClass)] = []
      for round in 0..<3 {
        for index in 0..<SizeClass.count where index % 3 == round {
          let sizeClass = SizeClass(index: index)
          for _ in 0..<3 { blocks.append((heap.allocate(size: sizeClass.bytes)!, sizeClass)) }
        }
        for (block, sizeClass) in blocks {
          #expect(heap.usableSize(of: block) == sizeClass.bytes)
          #expect((block + sizeClass.bytes).bits > block.bits)
        }
      }
      #expect(heap.validate() == nil)
      for (block, sizeClass) in blocks { heap.deallocate(block, size: sizeClass.bytes) }
    }
  }

  /// Two slabs of a class become empty at the same time: one is kept as the spare, and the other must not be forgotten,
  /// whoever saw whom. The one is freed by a thread, the other by a handler that interrupts it anywhere in that.
  @Test func `that become empty at once are all found by a drain`() throws {
    /// A handler may interrupt any access to it, so it is memory and not a variable of Swift's.
    struct Other {
      let heap: Heap
      var object: UInt64
    }
    try withSlabs { heap, state, table in
      let objects = SlabGeometry(SizeClass(holding: 2048)).objects
      let forgotten = Counter()
      let interrupted = Counter()
      TestThread {
        nonisolated(unsafe) let other = UnsafeMutablePointer<Other>.allocate(capacity: 1)
        other.initialize(to: Other(heap: heap, object: 0))
        defer { other.deallocate() }
        let word = AtomicWord(&other.pointee.object)
        @Sendable func free(_ object: UInt64) {
          heap.deallocate(UnsafeMutableRawPointer(bitPattern: UInt(object))!, size: 2048)
        }
        let storm = ct_storm_begin(
          30,
          { context in
            let other = context!.assumingMemoryBound(to: Other.self)
            let object = AtomicWord(&other.pointee.object).exchangeRelaxed(0)
            if object != 0 {
              other.pointee.heap.deallocate(UnsafeMutableRawPointer(bitPattern: UInt(object))!, size: 2048)
            }
          }, other)
        for _ in 0..<8000 {
          let blocks = (0...objects).map { _ in heap.allocate(size: 2048)! }
          for block in blocks.dropLast() { heap.deallocate(block, size: 2048) }
          // The first slab is the spare now, and loses one object; the second has one out.
          word.storeRelaxed(UInt64(heap.allocate(size: 2048)!.bits))
          heap.deallocate(blocks[objects], size: 2048)
          let object = word.exchangeRelaxed(0)
          if object == 0 { interrupted.add() } else { free(object) }
          heap.drain()
          if heap.committedBytes != 0 { forgotten.add() }
          if forgotten.value > 0 { break }
        }
        if let storm { ct_storm_end(storm) }
      }.join()
      #expect(forgotten.value == 0, "an empty slab was not given back")
      if !ct_thread_sanitizer() { #expect(interrupted.value > 0) }
    }
  }

  @Test func `are shared by threads without loss or overlap`() throws {
    let seed = testSeed()
    try withSlabs { heap, state, table in
      let wrong = Counter()
      onThreads(4) { thread in
        var random = seed.random(thread)
        var blocks: [UnsafeMutableRawPointer] = []
        for _ in 0..<8000 {
          if random.below(2) == 0 && blocks.count < 60 {
            let block = heap.allocate(size: 3000)!
            block.storeBytes(of: thread, as: Int.self)
            (block + 3064).storeBytes(of: thread, as: Int.self)
            blocks.append(block)
          } else if !blocks.isEmpty {
            let block = blocks.remove(at: random.below(blocks.count))
            if block.load(as: Int.self) != thread || (block + 3064).load(as: Int.self) != thread { wrong.add() }
            heap.deallocate(block, size: 3000)
          }
        }
        for block in blocks { heap.deallocate(block, size: 3000) }
      }
      #expect(wrong.value == 0, "\(seed)")
      #expect(heap.statistics().freeObjects == heap.statistics().carvedObjects)
    }
  }
}
