import CTestSupport
import Glibc
import TestSupport
import Testing

@testable import Slab

/// P3, T60: the allocator may be called from a signal handler that interrupted the allocator itself. In processes of their
/// own, which an alarm ends: what fails here may wait for ever.
///
/// Seen to fail in `thread` mode where a handler does not look at the `busy` word, in `rseq` mode where batches move without
/// a section, in `shared` mode where a slab's count is lowered by a load and a store.
@Suite struct `P3: a signal handler` {
  @Test(arguments: [1, 2])
  func `allocates and frees while all threads do`(nodes: Int) async {
    await #expect(processExitsWith: .success) { [nodes = nodes as Int] in
      alarm(60)
      let seed = testSeed()
      try withHeap(nodes: nodes) { heap in
        warmUp(heap)
        let faults = Counter()
        let handled = Counter()
        let failures = Counter()
        onThreads(3) { thread in
          let own = BlockTable(heap, capacity: 200, largest: 60_000, seed.random(thread))
          let handlers = BlockTable(heap, capacity: 50, largest: 60_000, seed.random(thread + 10))
          let storm = ct_storm_begin(
            100,
            { context in
              let table = BlockTable(at: context)
              for _ in 0..<3 { table.step() }
              if table.calls % 64 == 0 { table.heap.drain() }
            }, handlers.context)
          for operation in 0..<12_000 {
            own.step()
            if operation % 3000 == 0 { heap.trim() }
            if operation % 500 == 0 { ct_parking_place() }
          }
          if let storm { ct_storm_end(storm) }
          own.empty()
          handlers.empty()
          faults.add(own.faults + handlers.faults)
          handled.add(handlers.calls)
          failures.add(own.failures + handlers.failures)
          own.dispose()
          handlers.dispose()
        }
        try #require(faults.value == 0, "\(seed)")
        try #require(failures.value == 0, "\(seed)")
        try #require(handled.value > 0, "no signal came")
      }
    }
  }

  @Test func `that interrupts a thread at the limit gets a block or nothing`() async {
    await #expect(processExitsWith: .success) {
      alarm(60)
      let seed = testSeed()
      let heap = Heap.global
      warmUp(heap)
      heap.limit = 1 << 20
      for _ in 0..<100 { _ = heap.allocate(size: 2 << 20) }
      let faults = Counter()
      let failures = Counter()
      onThreads(2) { thread in
        let own = BlockTable(heap, capacity: 300, largest: 30_000, seed.random(thread))
        let handlers = BlockTable(heap, capacity: 50, largest: 30_000, seed.random(thread + 10))
        let storm = ct_storm_begin(150, { BlockTable(at: $0).step() }, handlers.context)
        for _ in 0..<3000 { own.step() }
        if let storm { ct_storm_end(storm) }
        own.empty()
        handlers.empty()
        faults.add(own.faults + handlers.faults)
        failures.add(own.failures + handlers.failures)
        own.dispose()
        handlers.dispose()
      }
      heap.trim()
      try #require(faults.value == 0, "\(seed)")
      try #require(failures.value > 0, "\(seed)")
      try #require(heap.validate() == nil, "\(seed)")
      try #require(heap.committedBytes == 0, "\(seed)")
    }
  }

  @Test func `may be the first to use the global heap, while others are`() async {
    await #expect(processExitsWith: .success) {
      alarm(60)
      // Swift's own metadata is made in another heap: see `warmUp`.
      try withHeap { warmUp($0) }
      onThreads(4) { thread in
        let handlers = BlockTable(.global, capacity: 20, largest: 2000, Random(seed: UInt64(thread)))
        let own = BlockTable(.global, capacity: 20, largest: 2000, Random(seed: UInt64(thread + 10)))
        let storm = ct_storm_begin(20, { BlockTable(at: $0).step() }, handlers.context)
        for _ in 0..<500 { own.step() }
        if let storm { ct_storm_end(storm) }
        own.empty()
        handlers.empty()
        precondition(own.faults + handlers.faults == 0)
        precondition(own.failures + handlers.failures == 0)
        own.dispose()
        handlers.dispose()
      }
      Heap.global.trim()
      try #require(Heap.global.validate() == nil)
      try #require(Heap.global.committedBytes == 0)
    }
  }
}

/// P3, second half, and T99. Seen to fail in `shared` mode with a spin lock around taking
/// objects from slabs: the child waits for it for ever.
@Suite(.serialized) struct `P3: a forked child` {
  @Test(arguments: [1, 2])
  func `of a process whose threads allocate uses what it inherits, and frees it`(nodes: Int) throws {
    let seed = testSeed()
    try withHeap(nodes: nodes) { heap in
      /// What the child does; 0: all is well.
      let child: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = { context in
        let inherited = BlockTable(at: context)
        let heap = inherited.heap
        if heap.validate(during: .cutOff) != nil { return 1 }
        for _ in 0..<500 { inherited.step() }
        inherited.empty()
        if inherited.faults > 0 { return 2 }
        if inherited.failures > 0 { return 3 }
        heap.trim()
        if heap.validate(during: .cutOff) != nil { return 4 }
        for _ in 0..<500 { inherited.step() }
        inherited.empty()
        return inherited.faults == 0 && heap.validate(during: .cutOff) == nil ? 0 : 5
      }
      let table = BlockTable(heap, capacity: 100, largest: 50_000, seed.random())
      // Everything once in this process, so that the child finds no metadata of Swift's to make.
      #expect(child(table.context) == 0)
      for _ in 0..<300 { table.step() }
      let ends = Counter()
      let workers = (0..<2).map { thread in
        TestThread {
          let own = BlockTable(heap, capacity: 100, largest: 50_000, seed.random(thread + 1))
          while ends.value == 0 { own.step() }
          own.empty()
          #expect(own.faults == 0, "\(seed)")
          own.dispose()
        }
      }
      for round in 0..<(ct_sanitizer() ? 5 : 15) {
        let process = ct_fork(child, table.context, 30)
        #expect(process > 0)
        let status = ct_wait(process)
        #expect(status == 0, "round \(round); \(seed)")
        if status != 0 { break }
      }
      ends.value = 1
      for worker in workers { worker.join() }
      table.empty()
      #expect(table.faults == 0, "\(seed)")
      table.dispose()
    }
  }
}
