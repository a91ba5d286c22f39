import CTestSupport
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F68, F69, F73, T52.
@Suite struct `Drains` {
  @Test func `empty the caches while threads allocate and free`() throws {
    let seed = testSeed()
    try withHeap { heap in
      let failed = Counter()
      let working = Counter(3)
      onThreads(4) { thread in
        if thread == 3 {
          var round = 0
          repeat {
            if round % 2 == 0 { heap.drain() } else { heap.trim() }
            if heap.validate(during: .any) != nil { failed.add() }
            round += 1
          } while working.value > 0
          return
        }
        var random = seed.random(thread)
        var blocks: [(UnsafeMutableRawPointer, Int, UInt8)] = []
        for operation in 0..<20_000 {
          if random.below(2) == 0 && blocks.count < 500 {
            let size = random.below(50) == 0 ? 1 + random.below(100_000) : 1 + random.below(1000)
            guard let block = heap.allocate(size: size) else {
              failed.add()
              continue
            }
            let stamp = UInt8(truncatingIfNeeded: operation)
            block.initializeMemory(as: UInt8.self, repeating: stamp, count: size)
            blocks.append((block, size, stamp))
          } else if !blocks.isEmpty {
            let (block, size, stamp) = blocks.remove(at: random.below(blocks.count))
            if block.load(as: UInt8.self) != stamp { failed.add() }
            if (block + size - 1).load(as: UInt8.self) != stamp { failed.add() }
            heap.deallocate(block, size: size)
          }
        }
        for (block, size, _) in blocks { heap.deallocate(block, size: size) }
        working.add(-1)
      }
      #expect(failed.value == 0, "\(seed)")
    }
  }

  @Test func `by several threads at once leave every CPU open`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      onThreads(4) { thread in
        for round in 0..<300 {
          let block = heap.allocate(size: 16 + round)!
          heap.deallocate(block, size: 16 + round)
          heap.drain()
        }
      }
      for index in 0..<state.regionsUsed {
        #expect(state.region(index).gate.loadRelaxed() == CPURegion.open)
      }
    }
  }

  @Test func `leave nothing cached where nobody works`() throws {
    for nodes in [1, 2] {
      try withHeap(nodes: nodes) { heap in
        onThreads(3) { _ in
          let blocks = (1...2000).map { heap.allocate(size: $0)! }
          let pages = (0..<50).map { try! heap.allocatePages(order: $0 % 4) }
          for (index, block) in blocks.enumerated() { heap.deallocate(block, size: index + 1) }
          for (index, page) in pages.enumerated() { heap.deallocatePages(page, order: index % 4) }
        }
        heap.drain()
        let statistics = heap.statistics()
        #expect(statistics.cachedObjects == 0)
        #expect(statistics.cachedPageBytes == 0)
        #expect(statistics.slabs == 0)
        #expect(heap.committedBytes == 0)
      }
    }
  }

  @Test func `of a trim leave the stacks of the caller's CPU open where no other holds anything`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        for size in [16, 64, 2048, 100_000] { heap.deallocate(heap.allocate(size: size)!, size: size) }
        #expect(heap.statistics().cachedObjects > 0 && state.holdsPointers)
        heap.trim()
        heap.trim()
        #expect(heap.statistics().cachedObjects == 0 && heap.committedBytes == 0 && !state.holdsPointers)
        // A region that was stopped has none.
        #expect(LocalCache(state)!.region.top(StackIndex(SizeClass(holding: 64))).loadRelaxed() != 0)
      }
    }
  }

  @Test func `of a trim take what is on its way to another node, though nothing else is there`() throws {
    try withHeap(nodes: 2) { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        let other = NodeIndex(1 - state.localNode.rawValue)
        let block = try! heap.allocate(size: 64, alignment: 16, flags: [.thisNode], node: other)
        heap.deallocate(block.baseAddress!, size: 64)
      }
      #expect(heap.statistics().cachedObjects == 1 && state.holdsPointers)
      heap.trim()
      #expect(heap.statistics().cachedObjects == 0 && !state.holdsPointers)
    }
  }

  @Test func `of idle CPUs leave those alone that work`() throws {
    guard ct_cpu_count() > 1 else { return }
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      let idleIndex = Counter()
      let steps = Counter()
      onThreads(2) { thread in
        _ = ct_pin(Int32(thread))
        heap.deallocate(heap.allocate(size: 64)!, size: 64)
        let own = LocalCache(state)!.index
        func fill(_ index: Int) -> Int { state.region(index).fill(info) }
        if thread == 0 {
          idleIndex.value = own
          steps.add()
          // In `thread` mode the region is this thread's until it ends.
          #expect(steps.wait(for: 2))
          return
        }
        #expect(steps.wait(for: 1))
        let idle = idleIndex.value
        #expect(!heap.drainIdle())
        #expect(fill(idle) > 0)
        let block = heap.allocate(size: 64)!
        #expect(!heap.drainIdle())
        #expect(fill(idle) == 0)
        #expect(fill(own) > 0)
        heap.deallocate(block, size: 64)
        // The caller's is no exception, and what is empty already counts as idle.
        #expect(!heap.drainIdle())
        #expect(heap.drainIdle())
        // What that call itself has moved does not count.
        #expect(heap.drainIdle())
        #expect(fill(own) == 0)
        #expect(heap.statistics().cachedObjects == 0)
        steps.add()
      }
    }
  }

  @Test func `of idle CPUs happen in passing, once in a second`() throws {
    guard ct_cpu_count() > 1 else { return }
    try withHeap(mode: .rseq) { heap in
      let state = try heap.state().get()
      guard state.mode == .rseq else { return }
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      let index = Counter()
      onOneCPU(0) {
        heap.deallocate(heap.allocate(size: 64)!, size: 64)
        index.value = LocalCache(state)!.index
      }
      onOneCPU(1) {
        let idle = state.region(index.value)
        let pages = state.pages(NodeIndex(0)).first!
        // A free of frames tells the time.
        for (now, expected) in [(5000, true), (5900, true), (6000, false)] {
          state.purgeInPassing(pages, now: UInt64(now))
          #expect((idle.fill(info) > 0) == expected, "\(now)")
        }
      }
    }
  }

  @Test func `of idle CPUs by several callers, each with a second of its own, leave a CPU its second`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU(0) {
        heap.deallocate(heap.allocate(size: 64)!, size: 64)
        let region = LocalCache(state)!.region
        let info = state.info(StackIndex(SizeClass(holding: 64)))
        // Three callers, 300 ms apart.
        for now in [5000, 5300, 5600] { #expect(!state.drainIdle(for: 1000, now: UInt64(now))) }
        #expect(region.fill(info) > 0)
        #expect(state.drainIdle(for: 1000, now: 6000))
        #expect(region.fill(info) == 0)
        // What is empty is idle.
        #expect(state.drainIdle(for: 1000, now: 6300))
      }
    }
  }

  @Test func `of idle CPUs return magazines, too, that nobody has taken for as long`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU(0) {
        let info = state.info(StackIndex(SizeClass(holding: 4096)))
        let depot = state.depot(info, on: NodeIndex(0))
        let objects = (0..<info.capacity + 4 * info.batch).map { _ in heap.allocate(size: 4096)! }
        for object in objects { heap.deallocate(object, size: 4096) }
        let all = depot.pointers
        #expect(all >= 3 * info.batch)
        _ = state.drainIdle(for: 1000, now: 5000)
        // Another one's look in between does not count, and one magazine is used.
        _ = state.drainIdle(for: 1000, now: 5900)
        let used = depot.takeFull()!
        depot.put(used)
        #expect(depot.pointers == all)
        _ = state.drainIdle(for: 1000, now: 6000)
        #expect(depot.pointers == used.count)
        _ = state.drainIdle(for: 1000, now: 7000)
        #expect(depot.pointers == 0 && heap.statistics().cachedObjects == 0)
      }
    }
  }

  @Test func `return what went back to the system, and frames are zero afterwards`() throws {
    try withHeap { heap in
      let block = try #require(heap.allocate(size: 4 << 20))
      block.initializeMemory(as: UInt8.self, repeating: 1, count: 4 << 20)
      heap.deallocate(block, size: 4 << 20)
      #expect(heap.trim() == 4 << 20)
      #expect(heap.trim() == 0)
      let again = try heap.allocate(size: 4 << 20, alignment: 16, flags: [.kernel, .zero], node: nil)
      #expect(allBytes(again, are: 0))
      heap.deallocate(again.baseAddress!)
    }
  }

  @Test func `are emptied when the heap grows, or classes that are used no more would keep their slabs`() throws {
    try withHeap { heap in
      let small = 20 << 20, large = 40 << 20
      let seed = testSeed()
      // On one: what another CPU holds stays there where it is little.
      onOneCPU {
        var random = seed.random(0)
        var objects = (0..<small / 64).map { _ in heap.allocate(size: 64)! }
        for index in objects.indices { objects.swapAt(index, random.below(objects.count)) }
        for object in objects { heap.deallocate(object, size: 64) }
        let others = (0..<large / 2048).map { _ in heap.allocate(size: 2048)! }
        // Without it, what is cached of the small ones keeps most of their slabs.
        #expect(heap.committedBytes < large + large / 8)
        for object in others { heap.deallocate(object, size: 2048) }
      }
    }
  }
}
