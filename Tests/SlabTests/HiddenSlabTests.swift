import TestSupport
import Testing

@testable import Slab

/// A thread that is stopped, or killed, between clearing a slab's hint and looking at the slab again.
@Suite struct `A slab whose hint was cleared` {
  private func clearHints(_ state: HeapState) {
    for node in 0..<state.nodeCount {
      let table = SlabTable(of: state.pages(NodeIndex(node)).first!)
      table.forEachHead { head, _ in table.heads[head.rawValue >> 6].storeRelaxed(0) }
    }
  }

  @Test(arguments: [1, 2])
  func `serves before an allocation fails for want of memory`(nodes: Int) throws {
    try withHeap(nodes: nodes, limit: 2 << 20, mode: .shared) { heap in
      let state = try heap.state().get()
      var blocks: [UnsafeMutableRawPointer] = []
      while let block = heap.allocate(size: 1000) { blocks.append(block) }
      let freed = stride(from: 0, to: blocks.count, by: 7).map { blocks[$0] }
      for block in freed { heap.deallocate(block, size: 1000) }
      var again: Set<UnsafeMutableRawPointer> = []
      // Without a reclaim: nothing else brings the hints back.
      for _ in freed {
        clearHints(state)
        guard case .success(let block) = heap.tryAllocate(size: 1000, alignment: 16, flags: .noWait, node: nil) else {
          break
        }
        again.insert(block.baseAddress!)
      }
      #expect(again == Set(freed))
      #expect(heap.allocate(size: 1000) == nil)
      for block in blocks { heap.deallocate(block, size: 1000) }
    }
  }
}
