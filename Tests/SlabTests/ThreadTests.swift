import CTestSupport
import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F70, F76, T57, T59, and what threads do to caches.
@Suite struct `Threads` {
  @Test func `that end hand their cache to the next, so that a thousand of them cost what one does`() throws {
    try countingThreadSlots {
      try withHeap { heap in
        func oneThread() {
          TestThread(stackBytes: 128 << 10) {
            let blocks = (1...40).map { heap.allocate(size: $0 * 25)! }
            for (index, block) in blocks.enumerated() { heap.deallocate(block, size: (index + 1) * 25) }
          }.join()
        }
        for _ in 0..<20 { oneThread() }
        let committed = heap.committedBytes
        for _ in 0..<1000 { oneThread() }
        // What is cached is bounded by CPUs, or by slots: those that other tests' threads had meanwhile count.
        let used = try heap.state().get().regionsUsed
        #expect(used <= 100)
        #expect(heap.committedBytes <= committed * max(used, 1))
      }
    }
  }

  @Test func `one of which only frees what the other allocates keep the footprint bounded`() throws {
    try withHeap { heap in
      let slots = 256
      let rounds = 40_000
      let ring = UnsafeMutablePointer<UInt64>.allocate(capacity: slots)
      ring.initialize(repeating: 0, count: slots)
      defer { ring.deallocate() }
      nonisolated(unsafe) let shared = ring
      let wrong = Counter()
      onThreads(2) { thread in
        for round in 0..<rounds {
          let slot = AtomicWord(shared + round % slots)
          if thread == 0 {
            let block = heap.allocate(size: 200)!
            block.storeBytes(of: round, as: Int.self)
            while slot.loadAcquire() != 0 { sched_yield() }
            slot.storeRelease(UInt64(block.bits))
          } else {
            while slot.loadAcquire() == 0 { sched_yield() }
            let block = UnsafeMutableRawPointer(bitPattern: UInt(slot.loadAcquire()))!
            if block.load(as: Int.self) != round { wrong.add() }
            heap.deallocate(block, size: 200)
            slot.storeRelease(0)
          }
        }
      }
      #expect(wrong.value == 0)
      // T57: 257 blocks in flight, and two caches with a depot between them.
      let info = StackInfo(StackIndex(SizeClass(holding: 200)), after: nil)
      let bound = (slots + 1 + 2 * info.capacity + (StackInfo.depotSlots + 2) * info.batch) * 256
      #expect(heap.statistics().peakCommittedBytes <= bound + 2 * info.slab.frames * Frames.bytes)
    }
  }

  @Test func `that move between CPUs while they allocate lose nothing`() throws {
    let seed = testSeed()
    try withHeap { heap in
      let wrong = Counter()
      onThreads(3) { thread in
        var random = seed.random(thread)
        var blocks: [(UnsafeMutableRawPointer, Int)] = []
        for round in 0..<6000 {
          if round % 20 == 0 { _ = ct_pin(Int32(random.below(Int(ct_cpu_count())))) }
          if random.below(2) == 0 {
            let size = 8 + random.below(600)
            let block = heap.allocate(size: size)!
            block.storeBytes(of: thread << 32 | size, as: Int.self)
            blocks.append((block, size))
          } else if !blocks.isEmpty {
            let (block, size) = blocks.remove(at: random.below(blocks.count))
            if block.load(as: Int.self) != thread << 32 | size { wrong.add() }
            heap.deallocate(block, size: size)
          }
        }
        for (block, size) in blocks { heap.deallocate(block, size: size) }
      }
      #expect(wrong.value == 0, "\(seed)")
    }
  }

  @Test func `moved to another CPU find that CPU's cache`() throws {
    guard ct_cpu_count() > 1 else { return }
    try withHeap(mode: .rseq) { heap in
      guard heap.mode == .rseq else { return }
      TestThread {
        _ = ct_pin(0)
        let first = heap.allocate(size: 64)!
        heap.deallocate(first, size: 64)
        _ = ct_pin(1)
        let second = heap.allocate(size: 64)!
        #expect(second != first)
        // Freed here, it is found here.
        heap.deallocate(second, size: 64)
        #expect(heap.allocate(size: 64) == second)
        heap.deallocate(second, size: 64)
        _ = ct_pin(0)
        #expect(heap.allocate(size: 64) == first)
        heap.deallocate(first, size: 64)
      }.join()
    }
  }

  @Test func `in thread mode own a region each, and no two the same`() throws {
    try withHeap(mode: .thread) { heap in
      let count = 50
      let slots = UnsafeMutablePointer<Int32>.allocate(capacity: count)
      defer { slots.deallocate() }
      nonisolated(unsafe) let shared = slots
      let arrived = Counter()
      onThreads(count, stackBytes: 128 << 10) { thread in
        let block = heap.allocate(size: 64)!
        shared[thread] = ka_thread_slot()
        arrived.add()
        _ = arrived.wait(for: count)
        heap.deallocate(block, size: 64)
      }
      let owned = (0..<count).map { slots[$0] }
      #expect(Set(owned).count == count)
      #expect(owned.allSatisfy { (0..<KA_THREAD_SLOTS).contains($0) })
    }
  }
}
