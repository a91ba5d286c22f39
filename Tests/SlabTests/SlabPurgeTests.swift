import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// Pages of slabs that go back while objects of the slab stay.
@Suite struct `Free pages of slabs` {
  /// Frames of slabs that may have memory behind them.
  private func backedSlabFrames(_ heap: Heap) throws -> Int {
    let region = try #require(try heap.state().get().pages(NodeIndex(0)).first)
    var frames = 0
    let table = SlabTable(of: region)
    table.forEachHead { head, word in
      guard let sizeClass = word.sizeClass else { return }
      for frame in head.rawValue..<head.rawValue + table.geometry(sizeClass).frames {
        frames += Int(region.dirtyWord(frame >> 6).loadRelaxed() >> UInt64(frame & 63) & 1)
      }
    }
    return frames
  }

  private func fill(_ block: UnsafeMutableRawPointer, _ size: Int, _ index: Int) {
    block.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: index), count: size)
  }

  private func holds(_ block: UnsafeMutableRawPointer, _ size: Int, _ index: Int) -> Bool {
    allBytes(UnsafeMutableRawBufferPointer(start: block, count: size), are: UInt8(truncatingIfNeeded: index))
  }

  @Test(arguments: [64, 100, 512, 2048, 5000, 20_000, 32_768])
  func `go back with a trim, once, and what stays keeps its bytes`(size: Int) throws {
    try withHeap { heap in
      let count = (4 << 20) / size
      let blocks = try (0..<count).map { index in
        let block = try #require(heap.allocate(size: size))
        fill(block, size, index)
        return block
      }
      let kept = Array(stride(from: 0, to: count, by: 150))
      for index in blocks.indices where index % 150 != 0 { heap.deallocate(blocks[index], size: size) }
      let released = heap.trim()
      #expect(released > 0 && heap.trim() == 0)
      #expect(try backedSlabFrames(heap) <= kept.count * (size / 4096 + 2))
      #expect(heap.validate() == nil)
      #expect(kept.allSatisfy { holds(blocks[$0], size, $0) })
      // Their places serve again.
      let more = try (0..<count).map { index in
        let block = try #require(heap.allocate(size: size))
        fill(block, size, index + 7)
        return block
      }
      #expect(more.indices.allSatisfy { holds(more[$0], size, $0 + 7) })
      #expect(kept.allSatisfy { holds(blocks[$0], size, $0) })
      for block in more { heap.deallocate(block, size: size) }
      for index in kept { heap.deallocate(blocks[index], size: size) }
      #expect(heap.validate() == nil)
    }
  }

  @Test func `go back when the program moves on to other sizes`() throws {
    try withHeap { heap in
      let size = 512, bytes = 48 << 20
      let blocks = try (0..<bytes / size).map { _ in try #require(heap.allocate(size: size)) }
      for index in blocks.indices where index % 64 != 0 { heap.deallocate(blocks[index], size: size) }
      let others = try (0..<bytes / 2048).map { _ in try #require(heap.allocate(size: 2048)) }
      // One object in 64 stays, in every second slab of 16 KiB. How much goes back depends on how long a call takes, milliseconds
      // where other threads run; one call gives back 8 slabs' free pages, and one is made at least.
      #expect(heap.committedBytes > bytes + bytes / 3, "the slabs that objects hold are there all the same")
      #expect(try backedSlabFrames(heap) << 12 <= heap.committedBytes - (64 << 10))
      for block in others { heap.deallocate(block, size: 2048) }
      for index in blocks.indices where index % 64 == 0 { heap.deallocate(blocks[index], size: size) }
    }
  }

  /// The blocks that the next purge will visit.
  private func hinted(_ heap: Heap) throws -> [Int] {
    let region = try #require(try heap.state().get().pages(NodeIndex(0)).first)
    return (0..<region.high).filter {
      region.hintWord(tree: $0 >> 6, tier: Tier.slabs).loadRelaxed() >> UInt64($0 & 63) & 1 == 1
    }
  }

  /// Whether a slab has pages that a purge of all slabs would give back.
  private func hasFreePages(_ heap: Heap) throws -> Bool {
    let region = try #require(try heap.state().get().pages(NodeIndex(0)).first)
    let table = SlabTable(of: region)
    var found = false
    table.forEachHead { head, word in
      guard let sizeClass = word.sizeClass, table.geometry(sizeClass).isPurged(free: word.free) else { return }
      let geometry = table.geometry(sizeClass)
      for frame in 0..<geometry.frames {
        let place = head.rawValue + frame
        if region.dirtyWord(place >> 6).loadRelaxed() >> UInt64(place & 63) & 1 == 0 { continue }
        let isUsed = (0..<geometry.objects).contains { object in
          let bytes = object * geometry.objectBytes..<(object + 1) * geometry.objectBytes
          let word = table.bits[table.firstWord(of: head) + object >> 6].loadRelaxed()
          return bytes.overlaps(frame << 12..<(frame + 1) << 12) && word >> UInt64(object & 63) & 1 == 0
        }
        if !isUsed { found = true }
      }
    }
    return found
  }

  @Test func `are looked for where objects were returned since the last time, and nowhere else`() throws {
    try withHeap(mode: .shared) { heap in
      // 16 blocks of 2 MiB.
      let blocks = try (0..<16 << 10).map { _ in try #require(heap.allocate(size: 2048)) }
      for index in blocks.indices where index % 4 != 0 { heap.deallocate(blocks[index], size: 2048) }
      #expect(try hinted(heap).count == 16)
      #expect(heap.trim() > 0)
      #expect(try hinted(heap) == [] && !hasFreePages(heap))
      // Another object of its slab stays, on another page.
      heap.deallocate(blocks[5000], size: 2048)
      #expect(try hinted(heap) == [5000 / 1024] && hasFreePages(heap))
      #expect(heap.trim() == 4096)
      #expect(try hinted(heap) == [])
      for index in blocks.indices where index % 4 == 0 && index != 5000 { heap.deallocate(blocks[index], size: 2048) }
    }
  }

  @Test func `of the slab that was kept are found when it is in use again`() throws {
    try withHeap(mode: .shared) { heap in
      let blocks = try (0..<8).map { index in
        let block = try #require(heap.allocate(size: 2048))
        fill(block, 2048, index)
        return block
      }
      for block in blocks { heap.deallocate(block, size: 2048) }
      #expect(heap.statistics().slabs == 1)
      // What the returns left.
      let region = try #require(try heap.state().get().pages(NodeIndex(0)).first)
      region.unhintDirty(0, Tier.slabs)
      let block = try #require(heap.allocate(size: 2048))
      #expect(try hasFreePages(heap) && hinted(heap) == [0])
      #expect(heap.trim() == 3 * 4096)
      heap.deallocate(block, size: 2048)
    }
  }

  @Test func `that a purge in passing has no time for are the next one's`() throws {
    try withHeap(mode: .shared) { heap in
      let blocks = try (0..<8 << 10).map { _ in try #require(heap.allocate(size: 2048)) }
      for index in blocks.indices where index % 8 != 0 { heap.deallocate(blocks[index], size: 2048) }
      let state = try heap.state().get()
      // The clock has ticked since 0: each pass is over after a call, of 32 slabs at most.
      var passes = 0
      var released = 0
      while try hasFreePages(heap) {
        let frames = state.purgeSlabs(within: PurgeTime(until: 0, since: 0))
        try #require(frames > 0)
        released += frames
        passes += 1
      }
      // Of each slab of eight objects one stays, on one of its four pages.
      #expect(released == 3 << 10 && passes >= 1024 / 64)
      for index in blocks.indices where index % 8 == 0 { heap.deallocate(blocks[index], size: 2048) }
    }
  }

  @Test func `are all gone after each trim, whatever was returned`() throws {
    let seed = testSeed()
    var random = seed.random(0)
    try withHeap(mode: .shared) { heap in
      var blocks: [(UnsafeMutableRawPointer, Int)] = []
      // Less than what purges in passing begin at: who takes objects of a slab that was purged marks all of its pages, also those on
      // which none of them lies, and those have no memory behind them.
      for _ in 0..<10_000 {
        let size = 1 + random.below(random.below(10) == 0 ? 32_768 : 2048)
        blocks.append((try #require(heap.allocate(size: size)), size))
      }
      while !blocks.isEmpty {
        for _ in 0..<min(blocks.count, 1 + random.below(2000)) {
          let (block, size) = blocks.remove(at: random.below(blocks.count))
          heap.deallocate(block, size: size)
        }
        heap.trim()
        #expect(try !hasFreePages(heap), "\(seed)")
      }
    }
  }

  @Test func `are not more runs than a call takes`() {
    for index in 0..<SizeClass.count {
      let geometry = SlabGeometry(SizeClass(index: index))
      #expect(geometry.frames <= Frames.perRow)
      #expect(min((geometry.frames + 1) / 2, geometry.objects / 2 + 1) <= SlabTable.purgedRuns, "class \(index)")
    }
  }
}
