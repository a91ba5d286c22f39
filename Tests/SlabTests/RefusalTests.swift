import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F1, F2, F10, F15, F39, F42: what a heap refuses, what it calls it, and that a refusal costs nobody anything.
@Suite struct Refusals {
  private func refusal(_ heap: Heap, _ size: Int, _ alignment: Int = 16) -> AllocError? {
    switch heap.tryAllocate(size: size, alignment: alignment, flags: .kernel, node: nil) {
    case .success: return nil
    case .failure(let error): return error
    }
  }

  /// Runs `body`, in which `heap` must not be drained.
  private func withoutDrain(_ heap: Heap, _ body: () throws -> Void) throws {
    let block = heap.allocate(size: 64)!
    heap.deallocate(block, size: 64)
    let cached = heap.statistics().cachedObjects
    let drains = try heap.state().get().control(.drains)
    let before = drains.loadRelaxed()
    try body()
    #expect(drains.loadRelaxed() == before)
    #expect(heap.statistics().cachedObjects == cached)
  }

  @Test func `of what no heap can serve have a name of their own and drain nothing`() throws {
    try withHeap { heap in
      let block = heap.allocate(size: 5000)!
      try withoutDrain(heap) {
        for size in [Int.max, .max - 4095, 1 << 62, 1 << 48, (1 << 47) + 1] {
          #expect(refusal(heap, size) == .sizeTooLarge)
        }
        for (size, alignment) in [(1, 1 << 47), (1 << 20, 1 << 62), (1 << 31, 1 << 47)] {
          #expect(refusal(heap, size, alignment) == .unsupportedAlignment)
        }
        #expect(throws: AllocError.sizeTooLarge) { try heap.allocatePages(order: 40) }
        #expect(throws: AllocError.sizeTooLarge) {
          try heap.reallocate(
            block, size: 5000, alignment: 16, newSize: .max, newAlignment: 16, flags: .kernel, node: nil)
        }
      }
      heap.deallocate(block, size: 5000)
    }
  }

  @Test func `of what the limit can never hold drain nothing`() throws {
    try withHeap(limit: 8 << 20) { heap in
      try withoutDrain(heap) {
        for size in [(8 << 20) + 1, 1 << 30, 1 << 40] { #expect(refusal(heap, size) == .limitExceeded) }
      }
      // What it can hold is fought for.
      let drains = try heap.state().get().control(.drains)
      let before = drains.loadRelaxed()
      let block = try #require(heap.allocate(size: 7 << 20))
      #expect(refusal(heap, 2 << 20) == .limitExceeded)
      if heap.mode != .shared { #expect(drains.loadRelaxed() > before) }
      heap.deallocate(block, size: 7 << 20)
    }
  }

  @Test func `of what given memory can never hold drain nothing`() throws {
    let bytes = 8 << 20
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { memory.deallocate() }
    var configuration = HeapConfiguration()
    configuration.memory = HeapConfiguration.Memory(memory, bytes: bytes)
    let heap = try Heap.create(configuration)
    try withoutDrain(heap) {
      #expect(refusal(heap, bytes) == .sizeTooLarge)
      #expect(refusal(heap, 100_000, 1 << 45) == .unsupportedAlignment)
      #expect(throws: AllocError.sizeTooLarge) { try heap.allocatePages(order: 12) }
      #expect(refusal(heap, 4 << 20) == nil)
    }
  }

  @Test func `are nil for an alignment that is none, in the inlined path, too`() throws {
    try withHeap { heap in
      for alignment in [0, -1, 3, 15, 24, 48, 4097, .min, .max] {
        for size in [1, 64, 5000, 100_000] {
          #expect(heap.allocate(size: size, alignment: alignment) == nil)
          #expect(refusal(heap, size, alignment) == .unsupportedAlignment)
          #expect(Heap.usableSize(size: size, alignment: alignment) == nil)
        }
      }
    }
  }

  @Test func `do not include an alignment beyond the window`() throws {
    try withHeap(windowBytes: 16 << 20) { heap in
      for size in [1, 100_000, 20 << 20] {
        let block = try #require(heap.allocate(size: size, alignment: 1 << 30))
        #expect(block.bits % (1 << 30) == 0)
        block.storeBytes(of: 7, as: UInt8.self)
        heap.deallocate(block, size: size, alignment: 1 << 30)
      }
    }
  }

  @Test func `of the end of the global heap are the same before and after its first use`() async {
    await #expect(processExitsWith: .success) {
      if Heap.global.destroy() { exit(1) }
      guard let block = Heap.global.allocate(size: 64) else { exit(2) }
      if Heap.global.destroy() { exit(3) }
      Heap.global.deallocate(block, size: 64)
      if Heap.global.destroy() { exit(4) }
      guard let block = Heap.global.allocate(size: 64) else { exit(5) }
      Heap.global.deallocate(block, size: 64)
    }
  }
}

@Suite struct `Blocks above a gibibyte` {
  private let bytes = 2 << 30

  @Test func `are the heap's from their first byte to their last`() throws {
    try withHeap { heap in
      let block = try #require(heap.allocate(size: bytes))
      for offset in [0, 1, 4096, bytes / 2, bytes - 1] { #expect(heap.owns(block + offset)) }
      #expect(heap.node(of: block + 12345) == NodeIndex(0))
      heap.deallocate(block, size: bytes)
      #expect(!heap.owns(block + 4096))
      #expect(heap.node(of: block) == nil)
    }
  }

  @Test func `end where they end`() {
    let words = UnsafeMutableRawPointer.allocate(byteCount: DirectMappings.bytes, alignment: 8)
    words.initializeMemory(as: UInt8.self, repeating: 0, count: DirectMappings.bytes)
    defer { words.deallocate() }
    let table = DirectMappings(WordArray(words))
    let start: UInt64 = 0x7000_0000
    let slot = table.claim()!
    #expect(table.node(containing: start) == nil)
    table.publish(slot, start, bytes: 5 << 30, node: NodeIndex(63))
    for offset in [0, 1, (5 << 30) - 1] as [UInt64] { #expect(table.node(containing: start + offset) == NodeIndex(63)) }
    #expect(table.node(containing: start - 1) == nil)
    #expect(table.node(containing: start + (5 << 30)) == nil)
    #expect(table.find(start) == 5 << 30)
    #expect(table.statistics().bytes == 5 << 30)
  }

  @Test func `are on the node that was asked for, and stay there`() throws {
    try withHeap(nodes: 3) { heap in
      let flags = AllocFlags.kernel.union(.thisNode)
      var block = try heap.allocate(size: bytes, alignment: 16, flags: flags, node: NodeIndex(2)).baseAddress!
      block.storeBytes(of: 77, as: UInt8.self)
      #expect(heap.node(of: block) == NodeIndex(2))
      for (size, newSize) in [(bytes, bytes), (bytes, 2 * bytes), (2 * bytes, bytes)] {
        block = try heap.reallocate(
          block, size: size, alignment: 16, newSize: newSize, newAlignment: 16, flags: flags, node: NodeIndex(2)
        ).baseAddress!
        #expect(heap.node(of: block) == NodeIndex(2))
      }
      #expect(block.load(as: UInt8.self) == 77)
      heap.deallocate(block, size: bytes)
    }
  }
}

/// What a window has no room for is mapped directly.
@Suite struct `Blocks beyond the window` {
  private let size = 20 << 20

  @Test func `are on the node that was asked for, and go to another`() throws {
    try withHeap(nodes: 3, windowBytes: 16 << 20) { heap in
      let flags = AllocFlags.kernel.union(.thisNode)
      let block = try heap.allocate(size: size, alignment: 16, flags: flags, node: NodeIndex(2)).baseAddress!
      block.storeBytes(of: 77, as: UInt8.self)
      #expect(heap.node(of: block) == NodeIndex(2))
      let moved = try heap.reallocate(
        block, size: size, alignment: 16, newSize: size, newAlignment: 16, flags: flags, node: NodeIndex(1)
      ).baseAddress!
      #expect(moved != block && heap.node(of: moved) == NodeIndex(1))
      #expect(moved.load(as: UInt8.self) == 77)
      // A preference moves nothing.
      let stayed = try heap.reallocate(
        moved, size: size, alignment: 16, newSize: size, newAlignment: 16, flags: .kernel, node: NodeIndex(0)
      ).baseAddress!
      #expect(stayed == moved)
      heap.deallocate(moved, size: size)
    }
  }

  @Test func `serve a strict node whose window is full, if they are not small`() throws {
    try withHeap(nodes: 2, windowBytes: 16 << 20) { heap in
      let flags = AllocFlags.kernel.union(.thisNode)
      var blocks: [(UnsafeMutableRawPointer, Int)] = []
      func take(_ size: Int) throws {
        let block = try heap.allocate(size: size, alignment: 16, flags: flags, node: NodeIndex(1)).baseAddress!
        #expect(heap.node(of: block) == NodeIndex(1))
        blocks.append((block, size))
      }
      for _ in 0..<3 { try take(12 << 20) }
      #expect(throws: AllocError.nodeUnavailable) { for _ in 0..<5 { try take(1000 << 10) } }
      for (block, size) in blocks { heap.deallocate(block, size: size) }
    }
  }
}
