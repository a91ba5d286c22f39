import TestSupport
import Testing

@testable import Slab

/// P5, T49: nothing that a program writes into memory it owns, or used to own, can corrupt the allocator.
///
/// Seen to fail where magazines are read back from the first words of their objects, and where a return clears an object's.
@Suite struct `P5: writing after a free` {
  @Test(arguments: [1, 2])
  func `leaves the heap valid, whatever is written, wherever`(nodes: Int) throws {
    let seed = testSeed()
    try withHeap(nodes: nodes) { heap in
      var random = seed.random()
      var live: [(UnsafeMutableRawPointer, Int)] = []
      var freed: [(UnsafeMutableRawPointer, Int)] = []
      for round in 0..<6 {
        for _ in 0..<1500 {
          if random.below(2) == 0 {
            let size = random.below(20) == 0 ? 1 + random.below(300_000) : 1 + random.below(5000)
            let block = try #require(heap.allocate(size: size))
            let bytes = try #require(heap.usableSize(of: block))
            // All of it: what a header or a footer would be written into.
            block.initializeMemory(as: UInt64.self, repeating: random.next(), count: bytes / 8)
            live.append((block, bytes))
          } else if !live.isEmpty {
            let (block, bytes) = live.remove(at: random.below(live.count))
            heap.deallocate(block, size: bytes)
            freed.append((block, bytes))
          }
        }
        // Freed memory, in caches, slabs and free pages; and pages that the system has back.
        if round % 2 == 1 { heap.trim() }
        for (block, bytes) in freed {
          let overlaps = live.contains { $0.0 < block + bytes && block < $0.0 + $0.1 }
          if !overlaps { block.initializeMemory(as: UInt64.self, repeating: random.next(), count: bytes / 8) }
        }
        freed.removeAll()
        #expect(heap.validate() == nil, "\(seed)")
        let sorted = live.sorted { $0.0 < $1.0 }
        for (left, right) in zip(sorted, sorted.dropFirst()) { #expect(left.0 + left.1 <= right.0, "\(seed)") }
      }
      for (block, bytes) in live { heap.deallocate(block, size: bytes) }
    }
  }

  @Test func `the allocator writes nothing into blocks either, from their birth to their next`() throws {
    try withHeap { heap in
      for size in [16, 64, 100, 4096, 40_000] {
        let block = try #require(heap.allocate(size: size))
        let bytes = try #require(heap.usableSize(of: block))
        block.initializeMemory(as: UInt8.self, repeating: 0x5a, count: bytes)
        heap.deallocate(block, size: size)
        heap.drain()
        #expect(UnsafeRawBufferPointer(start: block, count: bytes).allSatisfy { $0 == 0x5a })
      }
    }
  }
}
