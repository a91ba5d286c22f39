import TestSupport
import Testing

@testable import Slab

/// P8, F32, F36, T15: a failure leaves everything as it was.
///
/// Seen to fail where a growing block is freed before the new one is there.
@Suite struct `P8: a failed reallocation` {
  @Test(arguments: [16, 100, 4096, 30_000, 32_768, 40_000, 1 << 20], [16, 4096])
  func `keeps the block, its bytes, and all accounts`(size: Int, alignment: Int) throws {
    try withHeap { heap in
      let block = try heap.allocate(size: size, alignment: alignment, flags: .kernel, node: nil)
      for index in 0..<block.count { block[index] = UInt8(truncatingIfNeeded: index * 7) }
      // Nothing more can be had.
      heap.drain()
      heap.limit = heap.committedBytes
      let free = heap.statistics().freeObjects
      let committed = heap.committedBytes
      // To a larger class or run, to an alignment that the block does not have, beyond what there is, and nonsense.
      let stricter = 1 << 24
      for (newSize, newAlignment, expected) in [
        (size + 70_000, alignment, AllocError.limitExceeded), (2 << 20, alignment, .limitExceeded),
        (2 << 30, alignment, .limitExceeded), (.max, alignment, .sizeTooLarge), (0, alignment, .invalidLayout),
        (size, 3, .unsupportedAlignment), (size, 0, .unsupportedAlignment), (-1, alignment, .invalidLayout),
        (size, UInt(bitPattern: block.baseAddress!) % UInt(stricter) == 0 ? 3 : stricter, nil),
      ] as [(Int, Int, AllocError?)] {
        let result = heap.tryReallocate(
          block.baseAddress!, size: size, alignment: alignment, newSize: newSize, newAlignment: newAlignment,
          flags: .kernel, node: nil)
        switch result {
        case .success(let moved):
          // The block is gone: what follows would free it again.
          Issue.record("\(size) bytes became \(newSize) at \(newAlignment)")
          heap.deallocate(moved.baseAddress!)
          return
        case .failure(let error): if let expected { #expect(error == expected) }
        }
        #expect(heap.usableSize(of: block.baseAddress!) == block.count)
        #expect(heap.committedBytes == committed)
      }
      for index in 0..<block.count where block[index] != UInt8(truncatingIfNeeded: index * 7) {
        Issue.record("byte \(index) was changed")
        break
      }
      // A drain empties what the attempts took and put back.
      heap.drain()
      #expect(heap.statistics().freeObjects == free)
      #expect(heap.validate() == nil)
      heap.deallocate(block.baseAddress!, size: size, alignment: alignment)
      heap.limit = .max
    }
  }

  @Test(arguments: [200, 5000, 32_000, 50_000, 1 << 20])
  func `to something smaller is none: the block stays`(size: Int) throws {
    try withHeap { heap in
      let block = try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil)
      block[9] = 9
      heap.drain()
      heap.limit = 0
      let kept = try heap.reallocate(
        block.baseAddress!, size: size, alignment: 16, newSize: 10, newAlignment: 16, flags: .kernel, node: nil)
      #expect(kept.baseAddress == block.baseAddress)
      #expect(kept[9] == 9)
      #expect(kept.count >= 10)
      heap.deallocate(kept.baseAddress!)
      heap.limit = .max
    }
  }

  @Test func `to a node that has nothing keeps the block where it is`() throws {
    try withHeap(nodes: 2) { heap in
      // All of node 1's window, in blocks that are too small to be mapped by themselves.
      let bytes = 512 << 10
      var blocks: [UnsafeMutableRawPointer] = []
      while case .success(let block) = heap.tryAllocate(
        size: bytes, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(1))
      {
        blocks.append(block.baseAddress!)
      }
      #expect(blocks.count == 256 << 20 / bytes)
      for size in [100, 100_000] {
        let block = try heap.allocate(size: size, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(0))
        block[size - 1] = 1
        let result = heap.tryReallocate(
          block.baseAddress!, size: size, alignment: 16, newSize: size, newAlignment: 16,
          flags: [.kernel, .thisNode], node: NodeIndex(1))
        guard case .failure(let error) = result else {
          Issue.record("\(size) bytes moved to a node that is full")
          heap.deallocate(try result.get().baseAddress!)
          continue
        }
        #expect(error == .nodeUnavailable)
        #expect(heap.node(of: block.baseAddress!) == NodeIndex(0))
        #expect(block[size - 1] == 1)
        heap.deallocate(block.baseAddress!, size: size)
      }
      for block in blocks { heap.deallocate(block) }
    }
  }
}
