import TestSupport
import Testing

@testable import Slab

/// F31–F36 for blocks that no size class serves.
@Suite struct `Large blocks` {
  private func resize(
    _ heap: Heap, _ block: UnsafeMutableRawBufferPointer, _ size: Int, _ newSize: Int, alignment: Int = 16,
    flags: AllocFlags = .kernel
  ) throws -> UnsafeMutableRawBufferPointer {
    try heap.reallocate(
      block.baseAddress!, size: size, alignment: alignment, newSize: newSize, newAlignment: alignment, flags: flags,
      node: nil)
  }

  @Test func `grow in place where the frames behind are free`() throws {
    try withHeap { heap in
      var block = try heap.allocate(size: 40_000, alignment: 16, flags: .kernel, node: nil)
      let start = block.baseAddress
      block[39_999] = 7
      var size = 40_000
      for newSize in [50_000, 100_000, 1 << 20, 5 << 20, 64 << 20] {
        block = try resize(heap, block, size, newSize)
        #expect(block.baseAddress == start)
        #expect(block.count == Heap.usableSize(size: newSize, alignment: 16))
        #expect(heap.committedBytes == block.count)
        block[newSize - 1] = 1
        size = newSize
      }
      #expect(block[39_999] == 7)
      heap.deallocate(block.baseAddress!, size: size)
      #expect(heap.committedBytes == 0)
    }
  }

  @Test func `shrink in place, and the frames behind serve others`() throws {
    try withHeap { heap in
      let size = 8 << 20
      let block = try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil)
      let smaller = try resize(heap, block, size, 1 << 20)
      #expect(smaller.baseAddress == block.baseAddress)
      #expect(smaller.count == 1 << 20)
      #expect(heap.committedBytes == 1 << 20)
      let other = try heap.allocate(size: 4 << 20, alignment: 16, flags: .kernel, node: nil)
      #expect(other.baseAddress! > block.baseAddress! && other.baseAddress! < block.baseAddress! + size)
      heap.deallocate(other.baseAddress!)
      heap.deallocate(smaller.baseAddress!, size: 1 << 20)
    }
  }

  @Test func `move with their contents where a neighbour is in the way`() throws {
    try withHeap { heap in
      let block = try heap.allocate(size: 100_000, alignment: 16, flags: .kernel, node: nil)
      let neighbour = try heap.allocate(size: 100_000, alignment: 16, flags: .kernel, node: nil)
      for index in stride(from: 0, to: 100_000, by: 997) { block[index] = UInt8(truncatingIfNeeded: index) }
      let moved = try resize(heap, block, 100_000, 300_000)
      #expect(moved.baseAddress != block.baseAddress)
      for index in stride(from: 0, to: 100_000, by: 997) { #expect(moved[index] == UInt8(truncatingIfNeeded: index)) }
      heap.drain()
      #expect(heap.usableSize(of: block.baseAddress!) == nil)
      heap.deallocate(moved.baseAddress!, size: 300_000)
      heap.deallocate(neighbour.baseAddress!, size: 100_000)
    }
  }

  @Test func `become objects and back with their contents`() throws {
    try withHeap { heap in
      var block = try heap.allocate(size: 100, alignment: 16, flags: .kernel, node: nil)
      for index in 0..<100 { block[index] = UInt8(index) }
      var size = 100
      for newSize in [50_000, 32_768, 32_769, 200, 2 << 20, 100] {
        block = try resize(heap, block, size, newSize)
        size = newSize
        #expect((0..<100).allSatisfy { block[$0] == UInt8($0) })
        #expect(block.count == Heap.usableSize(size: newSize, alignment: 16))
        #expect(heap.usableSize(of: block.baseAddress!) == block.count)
      }
      heap.deallocate(block.baseAddress!, size: size)
    }
  }

  @Test func `are zero behind the old bytes when grown with zero, also over dirty frames`() throws {
    try withHeap { heap in
      let dirty = try heap.allocate(size: 4 << 20, alignment: 16, flags: .kernel, node: nil)
      dirty.initializeMemory(as: UInt8.self, repeating: 0xff)
      heap.deallocate(dirty.baseAddress!, size: 4 << 20)
      let block = try heap.allocate(size: 65_536, alignment: 16, flags: [.kernel, .zero], node: nil)
      #expect(allBytes(block, are: 0))
      block.initializeMemory(as: UInt8.self, repeating: 5)
      let grown = try resize(heap, block, 65_536, 1 << 20, flags: [.kernel, .zero])
      #expect(allBytes(.init(rebasing: grown[..<65_536]), are: 5))
      #expect(allBytes(.init(rebasing: grown[65_536...]), are: 0))
      heap.deallocate(grown.baseAddress!, size: 1 << 20)
    }
  }

  @Test func `are aligned as asked for, far above a page, also when small`() throws {
    try withHeap { heap in
      for shift in 12...24 {
        let alignment = 1 << shift
        for size in [1, alignment - 1, alignment, alignment + 1] {
          let block = try heap.allocate(size: size, alignment: alignment, flags: .kernel, node: nil)
          #expect(block.baseAddress!.bits % UInt(alignment) == 0)
          #expect(block.count == Heap.usableSize(size: size, alignment: alignment))
          #expect(heap.usableSize(of: block.baseAddress!) == block.count)
          heap.deallocate(block.baseAddress!, size: size, alignment: alignment)
        }
      }
    }
  }

  @Test func `get a stricter alignment by moving, with their contents`() throws {
    try withHeap { heap in
      let first = try heap.allocate(size: 4096 * 9, alignment: 16, flags: .kernel, node: nil)
      let block = try heap.allocate(size: 40_000, alignment: 16, flags: .kernel, node: nil)
      block[39_999] = 9
      try #require(block.baseAddress!.bits % (1 << 20) != 0)
      let moved = try heap.reallocate(
        block.baseAddress!, size: 40_000, alignment: 16, newSize: 40_000, newAlignment: 1 << 20, flags: .kernel,
        node: nil)
      #expect(moved.baseAddress!.bits % (1 << 20) == 0)
      #expect(moved[39_999] == 9)
      heap.deallocate(moved.baseAddress!, size: 40_000, alignment: 1 << 20)
      heap.deallocate(first.baseAddress!)
    }
  }

  @Test func `above 1 GiB are mapped by themselves, grow and shrink by remapping, and go back at once`() throws {
    try withHeap { heap in
      let size = (1 << 30) + 1
      var block = try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil)
      #expect(block.count == (1 << 30) + 4096)
      #expect(heap.committedBytes == block.count)
      #expect(heap.usableSize(of: block.baseAddress!) == block.count)
      #expect(heap.owns(block.baseAddress!))
      #expect(heap.node(of: block.baseAddress!) == NodeIndex(0))
      block[0] = 1
      block[size - 1] = 2
      block = try resize(heap, block, size, 3 << 30)
      #expect(block.count == 3 << 30)
      #expect(heap.committedBytes == 3 << 30)
      #expect(block[0] == 1 && block[size - 1] == 2 && block[size] == 0)
      let start = block.baseAddress
      block = try resize(heap, block, 3 << 30, 2 << 30)
      #expect(block.baseAddress == start, "a mapping shrinks where it is")
      #expect(heap.committedBytes == 2 << 30)
      #expect(heap.statistics().largeBlocks == 1)
      #expect(heap.validate() == nil)
      // Below the threshold it becomes a run.
      let run = try resize(heap, block, 2 << 30, 1 << 20)
      #expect(run[0] == 1)
      #expect(heap.committedBytes == 1 << 20)
      #expect(heap.node(of: run.baseAddress!) != nil)
      heap.deallocate(run.baseAddress!)
      heap.drain()
      #expect(heap.committedBytes == 0)
    }
  }

  @Test func `above 1 GiB may be aligned beyond a page, and keep that when resized`() throws {
    try withHeap { heap in
      let size = 1 << 30 + 8192
      let alignment = 1 << 24
      let block = try heap.allocate(size: size + 4096, alignment: alignment, flags: .kernel, node: nil)
      #expect(block.baseAddress!.bits % UInt(alignment) == 0)
      block[0] = 4
      let grown = try resize(heap, block, size + 4096, 5 << 30, alignment: alignment)
      #expect(grown.baseAddress!.bits % UInt(alignment) == 0)
      #expect(grown[0] == 4)
      heap.deallocate(grown.baseAddress!, size: 5 << 30, alignment: alignment)
    }
  }

  @Test func `of a size near the largest number are refused without a trap`() throws {
    try withHeap { heap in
      for size in [Int.max, .max - 1, .max - 4094, .max - 4095, 1 << 62, 1 << 48] {
        #expect(heap.allocate(size: size) == nil)
        #expect(throws: AllocError.self) { try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil) }
        #expect(heap.allocate(size: size, alignment: 1 << 30) == nil)
      }
      #expect(throws: AllocError.sizeTooLarge) {
        try heap.allocate(size: .max, alignment: 16, flags: .kernel, node: nil)
      }
      #expect(heap.allocate(size: 1, alignment: 1 << 62) == nil)
      let block = try heap.allocate(size: 5000, alignment: 16, flags: .kernel, node: nil)
      for size in [Int.max, 1 << 62, 1 << 48] {
        #expect(throws: AllocError.self) { try resize(heap, block, 5000, size) }
      }
      #expect(heap.usableSize(of: block.baseAddress!) == block.count)
      heap.deallocate(block.baseAddress!, size: 5000)
    }
  }

  @Test func `the table can be written for a block far from all others, and for those between it and the first`() throws
  {
    try withHeap(windowBytes: 1 << 30) { heap in
      let size = 100_000
      let first = try #require(heap.allocate(size: 64))
      // Beyond the 32 MiB for which the first growth makes the table writable.
      let far = try #require(heap.allocate(size: size, alignment: 512 << 20))
      #expect(heap.usableSize(of: far) == Heap.usableSize(size: size, alignment: 512 << 20))
      var blocks: [UnsafeMutableRawPointer] = []
      for _ in 0..<600 { blocks.append(try #require(heap.allocate(size: 1 << 20, alignment: 4096))) }
      for block in blocks { heap.deallocate(block, size: 1 << 20, alignment: 4096) }
      heap.deallocate(far, size: size, alignment: 512 << 20)
      heap.deallocate(first, size: 64)
    }
  }
}
