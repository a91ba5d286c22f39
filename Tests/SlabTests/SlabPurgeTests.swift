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

  @Test func `are not more runs than a call takes`() {
    for index in 0..<SizeClass.count {
      let geometry = SlabGeometry(SizeClass(index: index))
      #expect(geometry.frames <= Frames.perRow)
      #expect(min((geometry.frames + 1) / 2, geometry.objects / 2 + 1) <= SlabTable.purgedRuns, "class \(index)")
    }
  }
}
