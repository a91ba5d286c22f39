import TestSupport
import Testing

@testable import Slab

/// F36: blocks that answer to a smaller size than their own.
@Suite struct `Relabelled runs` {
  private func address(_ block: UnsafeMutableRawPointer) -> UInt64 { UInt64(block.bits) }

  @Test func `freed without a size are no longer relabelled, and the next block at their address is not`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      let block = try #require(heap.allocate(size: 40_000))
      #expect(heap.relabel(block, size: 100))
      #expect(state.isRelabelled(address(block)) && heap.usableSize(of: block) == 40_960)
      heap.deallocate(block)
      // On no stack, where the label would stay with it.
      #expect(heap.committedBytes == 0 && !state.isRelabelled(address(block)))
      #expect(heap.deallocateUnsized(block) == .doubleFree)
      let next = try #require(heap.allocate(size: 40_000))
      #expect(next == block && !state.isRelabelled(address(next)))
      heap.deallocate(next, size: 40_000)
    }
  }

  @Test func `freed with the smaller size go back to the page level, too`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      let block = try #require(heap.allocate(size: 40_000))
      #expect(heap.relabel(block, size: 100))
      heap.deallocate(block, size: 100)
      heap.drain()
      #expect(heap.committedBytes == 0 && !state.isRelabelled(address(block)))
    }
  }

  @Test func `that are resized answer to their new length`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      onOneCPU {
        let block = heap.allocate(size: 40_000)!
        for size in [80_000, 50_000] {
          #expect(heap.relabel(block, size: 100))
          let resized = try? heap.reallocateUnsized(block, newSize: size)
          #expect(resized == block && !state.isRelabelled(UInt64(block.bits)))
        }
        heap.deallocate(block)
        #expect(heap.committedBytes == (state.caches ? 53_248 : 0))
      }
    }
  }
}
