import CTestSupport
import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// P2: a thread stopped at any instruction never blocks another.
///
/// Seen to fail with a spin lock around taking objects from slabs.
@Suite(.serialized) struct `P2: a stopped thread` {
  /// A thread's room for blocks, which is not Swift's: a stopped thread must not hold the C library's locks.
  private struct Room: ~Copyable {
    private let blocks = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: 72)

    deinit { blocks.deallocate() }

    func exchange(_ heap: Heap, _ count: Int, of size: Int) {
      for index in 0..<count { blocks[index] = heap.allocate(size: size)! }
      for index in 0..<count { heap.deallocate(blocks[index], size: size) }
    }

    func exchangePages(_ heap: Heap, _ count: Int, order: Int) {
      for index in 0..<count { blocks[index] = try! heap.allocatePages(order: order) }
      for index in 0..<count { heap.deallocatePages(blocks[index], order: order) }
    }
  }

  /// One more than a stack holds, so that it is flushed and refilled. Not a stored value: who makes that first may be stopped in it.
  private static func tooMany(_ stack: StackIndex) -> Int { StackInfo(stack, after: nil).capacity + 1 }

  /// Operations of the slow paths: classes and pages with few on a stack, runs, now and then a drain.
  private static func work(_ heap: Heap, _ room: borrowing Room, _ random: inout Random, _ operations: Int) {
    for operation in 0..<operations {
      switch random.below(6) {
      case 0, 1: room.exchange(heap, tooMany(StackIndex(SizeClass(holding: 30_000))), of: 30_000)
      case 2: room.exchange(heap, tooMany(StackIndex(SizeClass(holding: 16_000))), of: 16_000)
      case 3: room.exchangePages(heap, tooMany(StackIndex(pageOrder: 3)), order: 3)
      case 4: room.exchange(heap, 1, of: 300_000)
      default:
        if operation % 4 == 0 { heap.drain() }
        let block = try! heap.allocate(size: 100, alignment: 16, flags: .kernel, node: NodeIndex(0))
        heap.deallocate(block.baseAddress!, size: 100)
      }
      ct_parking_place()
    }
  }

  @Test(arguments: [1, 2])
  func `anywhere in the slow paths lets the others finish`(nodes: Int) throws {
    let seed = testSeed()
    try withHeap(nodes: nodes) { heap in
      warmUp(heap)
      var random = seed.random()
      Self.work(heap, Room(), &random, 60)
      #expect(heap.mode == .shared || heap.statistics().flushes > 0, "no stack was full; \(seed)")
      let started = Counter()
      let ends = Counter()
      let rounds = ct_thread_sanitizer() ? 10 : 60
      let stopped = TestThread {
        let room = Room()
        var random = seed.random(99)
        Self.work(heap, room, &random, 20)
        started.add()
        while ends.value == 0 { Self.work(heap, room, &random, 1) }
      }
      // A thread that is only just coming to be may hold locks of the C library's.
      #expect(started.wait(for: 1))
      var parked = 0
      for round in 0..<rounds {
        usleep(UInt32(round * 37 % 200))
        guard ct_park(stopped.thread, 10_000) else {
          Issue.record("the thread did not stop; \(seed)")
          break
        }
        parked += 1
        let finished = Counter()
        let others = (0..<2).map { thread in
          TestThread {
            var random = seed.random(round * 2 + thread)
            Self.work(heap, Room(), &random, 12)
            finished.add()
          }
        }
        let all = finished.wait(for: 2, seconds: 20)
        if !all { Issue.record("\(2 - finished.value) threads wait for a stopped one; \(seed)") }
        if heap.validate(during: .any) != nil { Issue.record("\(heap.validate(during: .any)!); \(seed)") }
        ct_resume()
        for other in others { other.join() }
        if !all { break }
      }
      ends.value = 1
      stopped.join()
      #expect(parked == rounds, "\(seed)")
    }
  }
}
