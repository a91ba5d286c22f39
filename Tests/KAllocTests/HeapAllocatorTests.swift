// What only a heap of one's own can show: the limit, several nodes, and that everything comes back.

import AllocatorTesting
import KAlloc
import Slab
import Testing

@Suite struct HeapAllocatorTests {
  private func heap(nodes: Int = 1, limit: Int = .max) throws -> Heap {
    var configuration = HeapConfiguration()
    configuration.topology = try .simulated(nodes: nodes)
    configuration.limit = limit
    return try Heap.create(configuration)
  }

  @Test func `at the limit a reallocation keeps the block and its bytes, and a shrink succeeds`() throws {
    let heap = try heap(limit: 4 << 20)
    let layout = try Layout(size: 3000, alignment: 16)
    var blocks: [UnsafeMutableRawBufferPointer] = []
    while let block = try? heap.allocate(layout) {
      block.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: blocks.count))
      blocks.append(block)
    }
    #expect(blocks.count > 1000)
    let block = blocks[7]
    for size in [3073, 5000, 100_000, 8 << 20] {
      let larger = try Layout(size: size, alignment: 16)
      #expect(throws: AllocError.limitExceeded) { try heap.allocate(larger) }
      #expect(throws: AllocError.limitExceeded) { try heap.reallocate(block.baseAddress, from: layout, to: larger) }
    }
    #expect(block.allSatisfy { $0 == 7 })

    // No class but this one has a slab: a smaller block cannot be had, so this one is kept, and says so.
    let kept = try heap.reallocate(block.baseAddress, from: layout, to: Layout(size: 100, alignment: 16))
    #expect(kept.baseAddress == block.baseAddress && kept.count == 3072)
    #expect(kept.allSatisfy { $0 == 7 })
    for block in blocks { heap.deallocate(block.baseAddress!, try Layout(size: block.count, alignment: 16)) }
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `a strict node is the block's node, and a strict reallocation moves it there`() throws {
    let heap = try heap(nodes: 3)
    for size in [64, 3000, 100_000] {
      let layout = try Layout(size: size, alignment: 16)
      for index in 0..<3 {
        let node = NodeIndex(index)
        let block = try heap.allocate(layout, flags: [.kernel, .thisNode], node: NumaNode(node))
        #expect(heap.node(of: block.baseAddress!) == node)
        block.initializeMemory(as: UInt8.self, repeating: UInt8(index + 1))
        // A preference moves nothing that can stay.
        let other = NodeIndex((index + 1) % 3)
        let stayed = try heap.reallocate(
          block.baseAddress, from: layout, to: layout, flags: .kernel, node: NumaNode(other))
        #expect(stayed.baseAddress == block.baseAddress)
        let moved = try heap.reallocate(
          stayed.baseAddress, from: layout, to: layout, flags: [.kernel, .thisNode], node: NumaNode(other))
        #expect(heap.node(of: moved.baseAddress!) == other)
        #expect(moved[..<size].allSatisfy { $0 == UInt8(index + 1) })
        heap.deallocate(moved.baseAddress!, layout)
      }
      #expect(throws: AllocError.nodeUnavailable) {
        try heap.allocate(layout, flags: [.kernel, .thisNode], node: NumaNode(NodeIndex(3)))
      }
    }
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `a node beyond the machine's is refused`() throws {
    #expect(NumaNode.count >= 1)
    #expect(try NumaNode(0).nodeIndex == NodeIndex(0))
    #expect(try NumaNode(NumaNode.count - 1) != .any)
    for index in [-1, NumaNode.count, Int.max, Int.min] {
      #expect(throws: AllocError.nodeUnavailable) { try NumaNode(index) }
    }
  }

  @Test func `every flag serves small and large blocks alike`() throws {
    let heap = try heap()
    for flags in [AllocFlags.kernel, .noWait, .atomic, [.kernel, .noWarn], [.kernel, .retryMayFail, .zero]] {
      for size in [1, 500, 40_000] {
        let layout = try Layout(size: size, alignment: 16)
        let block = try heap.allocate(layout, flags: flags)
        #expect(block.count == Heap.usableSize(for: layout))
        if flags.contains(.zero) { #expect(block.allSatisfy { $0 == 0 }) }
        block.initializeMemory(as: UInt8.self, repeating: 0xFF)
        heap.deallocate(block.baseAddress!, layout)
      }
    }
    #expect(heap.destroy())
  }

  @Test func `the global allocator is an empty struct, and a heap one word`() {
    #expect(MemoryLayout<Kmalloc>.size == 0)
    #expect(MemoryLayout<SystemAllocator>.size == 0)
    #expect(MemoryLayout<Heap>.size == MemoryLayout<Int>.size)
  }
}
