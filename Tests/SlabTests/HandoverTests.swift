import CTestSupport
import TestSupport
import Testing

@testable import Slab

/// Memory that threads hand to each other through the allocator alone: what the last owner wrote is before what the next one
/// writes. ThreadSanitizer sees where it is not (`make test-tsan`); without it these tests look for overlaps.
@Suite struct `Memory handed on` {
  /// Each of `threads` threads allocates `blocks` blocks, writes them with plain stores, looks at them and frees them.
  private func handOn(
    _ heap: Heap, size: Int, threads: Int = 6, blocks: Int, rounds: Int, drains: Bool = false, moves: Bool = false
  ) -> Int {
    let overlaps = Counter()
    onThreads(threads) { thread in
      var held: [UnsafeMutablePointer<Int>] = []
      held.reserveCapacity(blocks)
      for round in 0..<rounds {
        for _ in 0..<blocks {
          guard let block = heap.allocate(size: size) else { continue }
          let words = block.assumingMemoryBound(to: Int.self)
          // Through `pointee`, which is compiled here: ThreadSanitizer does not see stores in the standard library.
          words.pointee = thread
          (words + size / 8 - 1).pointee = round
          held.append(words)
        }
        if moves { _ = ct_pin(Int32((thread + round) % Int(ct_cpu_count()))) }
        for words in held {
          if words.pointee != thread || (words + size / 8 - 1).pointee != round { overlaps.add() }
          heap.deallocate(words, size: size)
        }
        held.removeAll(keepingCapacity: true)
        if drains && thread == 0 { heap.drain() }
      }
    }
    return overlaps.value
  }

  @Test(arguments: [BindingMode.rseq, .thread, .shared])
  func `through stacks and depots is in order`(_ mode: BindingMode) throws {
    try withHeap(mode: mode) { heap in
      // More than a stack holds, so that magazines move.
      #expect(handOn(heap, size: 64, blocks: 8300, rounds: mode == .shared ? 1 : 4) == 0)
      if heap.mode != .shared { #expect(heap.statistics().depotTakes > 0) }
    }
  }

  @Test(arguments: [BindingMode.rseq, .thread, .shared])
  func `through slabs, pages and drains is in order`(_ mode: BindingMode) throws {
    try withHeap(mode: mode) { heap in
      #expect(handOn(heap, size: 2048, blocks: 80, rounds: 20, drains: true) == 0)
      #expect(handOn(heap, size: 40_000, blocks: 10, rounds: 20, drains: true) == 0)
    }
  }

  @Test(arguments: [BindingMode.rseq, .thread])
  func `through another node is in order`(_ mode: BindingMode) throws {
    guard ct_cpu_count() > 1 else { return }
    try withHeap(nodes: 2, mode: mode) { heap in
      #expect(handOn(heap, size: 256, blocks: 200, rounds: 20, moves: true) == 0)
      #expect(heap.statistics().remoteFrees > 0)
    }
  }
}
