import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// `thread` mode: a thread that a drain, or a handler of its own, finds inside an operation.
@Suite struct `A thread at work` {
  /// Leaves objects in the calling thread's cache of `heap`, which has as many nodes as it likes. Returns its slot.
  private func cacheObjects(_ heap: Heap) -> Int {
    let block = heap.allocate(size: 64)!
    heap.deallocate(block, size: 64)
    return Int(ka_thread_slot())
  }

  @Test func `in one heap is drained in another, and left alone in its own`() throws {
    try withHeap(mode: .thread) { working in
      try withHeap(mode: .thread) { other in
        let slot = cacheObjects(working)
        #expect(cacheObjects(other) == slot)
        let busy = try working.state().get().region(slot).busy
        busy.storeRelaxed(1)
        other.drain()
        working.drain()
        #expect(other.statistics().cachedObjects == 0)
        #expect(working.statistics().cachedObjects > 0)
        busy.storeRelaxed(0)
        working.drain()
        #expect(working.statistics().cachedObjects == 0)
      }
    }
  }

  @Test func `on its outgoing magazines is left alone, too`() throws {
    try withHeap(nodes: 2, mode: .thread) { heap in
      let slot = cacheObjects(heap)
      let busy = try heap.state().get().outgoingRegion(slot)!.busy
      busy.storeRelaxed(1)
      heap.drain()
      #expect(heap.statistics().cachedObjects > 0)
      busy.storeRelaxed(0)
      heap.drain()
      #expect(heap.statistics().cachedObjects == 0)
    }
  }

  @Test func `does not use its stacks in a handler that interrupts it, but those of another heap`() throws {
    try withHeap(mode: .thread) { working in
      try withHeap(mode: .thread) { other in
        let slot = cacheObjects(working)
        _ = cacheObjects(other)
        let busy = try working.state().get().region(slot).busy
        let shared = working.statistics().shared
        busy.storeRelaxed(1)
        let block = working.allocate(size: 64)!
        let elsewhere = other.allocate(size: 64)!
        busy.storeRelaxed(0)
        #expect(working.statistics().shared == shared + 1)
        #expect(other.statistics().shared == 0)
        working.deallocate(block, size: 64)
        other.deallocate(elsewhere, size: 64)
      }
    }
  }
}
