import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F21, F40 and F74.
@Suite struct `Heaps` {
  @Test func `with a block outstanding are not destroyed, and go on`() throws {
    var configuration = HeapConfiguration()
    configuration.windowBytes = 64 << 20
    let heap = try Heap.create(configuration)
    let object = try #require(heap.allocate(size: 100))
    let run = try #require(heap.allocate(size: 100_000))
    let page = try heap.allocatePages(order: 0)
    #expect(!heap.destroy())
    heap.deallocate(object, size: 100)
    #expect(!heap.destroy())
    heap.deallocate(run, size: 100_000)
    #expect(!heap.destroy())
    heap.deallocatePages(page, order: 0)
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `never used are destroyed`() throws {
    var configuration = HeapConfiguration()
    configuration.windowBytes = 64 << 20
    for _ in 0..<20 {
      let heap = try Heap.create(configuration)
      #expect(heap.committedBytes == 0)
      #expect(heap.validate() == nil)
      #expect(heap.destroy())
    }
  }

  @Test(.enabled(if: ka_rseq_available() && ka_barrier_register(), "there are no sections, or no barrier for them"))
  func `bind to CPUs where they may`() throws {
    #expect(BindingMode.possible(nil) == .rseq, "swift test --sanitize thread needs -Xcc -fsanitize=thread beside it")
    try withHeap(mode: .rseq) { #expect($0.mode == .rseq) }
  }

  @Test func `of different modes live beside each other, each with blocks of its own`() throws {
    let modes: [BindingMode?] = [.rseq, .thread, .shared, nil]
    let heaps = try modes.map { mode in
      var configuration = HeapConfiguration()
      configuration.mode = mode
      configuration.windowBytes = 64 << 20
      return try Heap.create(configuration)
    }
    #expect(heaps[1].mode == .thread)
    #expect(heaps[2].mode == .shared)
    onThreads(3) { thread in
      var random = Random(seed: UInt64(thread + 1))
      var blocks: [(Heap, UnsafeMutableRawPointer, Int)] = []
      for _ in 0..<3000 {
        if random.below(2) == 0 {
          let heap = heaps[random.below(heaps.count)]
          let size = 1 + random.below(2000)
          if let block = heap.allocate(size: size) { blocks.append((heap, block, size)) }
        } else if !blocks.isEmpty {
          let (heap, block, size) = blocks.remove(at: random.below(blocks.count))
          heap.deallocate(block, size: size)
        }
      }
      for (heap, block, size) in blocks { heap.deallocate(block, size: size) }
    }
    for heap in heaps {
      let block = try #require(heap.allocate(size: 64))
      for other in heaps where other != heap {
        #expect(!other.owns(block))
        #expect(other.usableSize(of: block) == nil)
        #expect(other.node(of: block) == nil)
      }
      heap.deallocate(block, size: 64)
    }
    for heap in heaps {
      #expect(heap.validate() == nil)
      #expect(heap.destroy())
    }
  }

  @Test func `can be made and ended by many threads at once`() throws {
    let failed = Counter()
    onThreads(4) { thread in
      for round in 0..<10 {
        var configuration = HeapConfiguration()
        configuration.windowBytes = 32 << 20
        configuration.mode = [BindingMode.rseq, .thread, .shared][(thread + round) % 3]
        guard let heap = try? Heap.create(configuration) else {
          failed.add()
          continue
        }
        let blocks = (0..<100).compactMap { heap.allocate(size: 16 * $0 + 1) }
        for (index, block) in blocks.enumerated() { heap.deallocate(block, size: 16 * index + 1) }
        if blocks.count != 100 || heap.validate() != nil || !heap.destroy() { failed.add() }
      }
    }
    #expect(failed.value == 0)
  }

  @Test func `halve their windows where address space is refused`() throws {
    // A window of 2^46 bytes for each of 8 nodes is more than the processor can address.
    try withHeap(nodes: 8, windowBytes: 1 << 60) { heap in
      let block = try #require(heap.allocate(size: 1 << 20))
      heap.deallocate(block, size: 1 << 20)
    }
  }

  @Test func `refuse arguments that make no sense with a typed error`() throws {
    try withHeap { heap in
      for size in [0, -1, .min] {
        #expect(throws: AllocError.invalidLayout) {
          try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil)
        }
        #expect(heap.allocate(size: size) == nil)
      }
      for alignment in [0, -1, 3, 24, 4097, .min] {
        #expect(throws: AllocError.unsupportedAlignment) {
          try heap.allocate(size: 16, alignment: alignment, flags: .kernel, node: nil)
        }
      }
      for node in [-1, 1, 64, .max] {
        #expect(throws: AllocError.nodeUnavailable) {
          try heap.allocate(size: 16, alignment: 16, flags: .kernel, node: NodeIndex(node))
        }
        #expect(throws: AllocError.nodeUnavailable) {
          try heap.allocate(size: 1 << 20, alignment: 16, flags: .kernel, node: NodeIndex(node))
        }
      }
      for order in [-1, 41, .min, .max] {
        #expect(throws: AllocError.invalidLayout) { try heap.allocatePages(order: order) }
      }
      #expect(throws: AllocError.self) { try heap.allocatePages(order: 40) }
    }
  }
}
