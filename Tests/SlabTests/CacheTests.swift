import CTestSupport
import TestSupport
import Testing

@testable import Slab

extension HeapState {
  /// Visits of the slow path to the depot so far, on all CPUs or threads.
  var visits: Int {
    (0..<regionsUsed).reduce(0) {
      $0 + Int(region($1).counter(.refills).loadRelaxed()) + Int(region($1).counter(.flushes).loadRelaxed())
    }
  }

  /// Whether threads keep caches in this mode.
  var caches: Bool { mode != .shared }
}

/// F64, F67, T46. Each on a thread that is bound to one CPU.
@Suite struct `Caches` {
  @Test(arguments: 0..<SizeClass.count)
  func `give back what was freed last, first`(index: Int) throws {
    let bytes = SizeClass(index: index).bytes
    try withHeap { heap in
      guard try heap.state().get().caches else { return }
      onOneCPU {
        let wrong = Counter()
        // A thread that is preempted inside a section may find a stack of fewer; so it is tried again.
        for _ in 0..<3 {
          wrong.value = 0
          // The stack may hold a few that a refill gave beyond what was asked for; N more always have room.
          let count = min(16, StackInfo(StackIndex(SizeClass(index: index)), after: nil).batch)
          let blocks = (0..<count).map { _ in heap.allocate(size: bytes)! }
          for block in blocks { heap.deallocate(block, size: bytes) }
          let again = (0..<count).map { _ in heap.allocate(size: bytes)! }
          if again != blocks.reversed() { wrong.add() }
          for block in again { heap.deallocate(block, size: bytes) }
          if wrong.value == 0 { break }
        }
        #expect(wrong.value == 0)
      }
    }
  }

  /// The patterns that make a cache without a second magazine go to the depot most often.
  enum Pattern: CaseIterable, Sendable {
    /// One up, one down, at each fill level in turn.
    case pairsAtEachLevel
    /// N up, N down.
    case batches
    /// The stack's capacity and one more, up and down.
    case overflow
    case randomWalk
  }

  @Test(arguments: Pattern.allCases)
  func `go to the depot at most once in N operations once they have grown`(pattern: Pattern) throws {
    let seed = testSeed()
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        for stack in 0..<StackIndex.withDepot {
          let info = state.info(StackIndex(rawValue: stack))
          Self.run(pattern, heap, state, info, seed)
        }
      }
    }
  }

  private static func run(_ pattern: Pattern, _ heap: Heap, _ state: HeapState, _ info: StackInfo, _ seed: Seed) {
    var random = seed.random(info.stack.rawValue)
    var blocks: [UnsafeMutableRawPointer] = []
    var operations = 0
    var visits = 0
    var last = 0
    var early = 0
    func operate(_ allocates: Bool) {
      if allocates {
        blocks.append(
          info.stack.sizeClass == nil
            ? try! heap.allocatePages(order: info.stack.pageOrder) : heap.allocate(size: info.objectBytes)!)
      } else if info.stack.sizeClass == nil {
        heap.deallocatePages(blocks.removeLast(), order: info.stack.pageOrder)
      } else {
        heap.deallocate(blocks.removeLast(), size: info.objectBytes)
      }
      operations += 1
      if state.visits > visits {
        if operations - last < info.batch { early += state.visits - visits }
        visits = state.visits
        last = operations
      }
    }
    // Grown, and so many objects out that the depot's magazines are whole.
    let n = info.batch
    for _ in 0..<2 {
      for _ in 0..<3 * info.capacity { operate(true) }
      while !blocks.isEmpty { operate(false) }
    }
    for _ in 0..<3 * n { operate(true) }
    visits = state.visits
    last = operations - n
    early = 0
    let start = operations
    let startVisits = visits
    switch pattern {
    case .pairsAtEachLevel:
      for level in 0..<3 * n {
        for _ in 0..<3 {
          operate(true)
          operate(false)
        }
        operate(level < 3 * n / 2)
      }
    case .batches:
      for _ in 0..<8 {
        for _ in 0..<n { operate(true) }
        for _ in 0..<n { operate(false) }
      }
    case .overflow:
      for _ in 0..<4 {
        for _ in 0...info.capacity { operate(true) }
        for _ in 0...info.capacity { operate(false) }
      }
    case .randomWalk:
      for _ in 0..<16 * n { operate(blocks.isEmpty || random.below(2) == 0) }
    }
    // A section that is aborted by preemption may leave a refill without effect: those are few and counted apart.
    let tolerated = 2
    #expect(early <= tolerated, "class of \(info.objectBytes) bytes, N \(n), \(pattern); \(seed)")
    #expect(
      visits - startVisits <= (operations - start) / n + 1 + tolerated,
      "class of \(info.objectBytes) bytes, N \(n), \(pattern); \(seed)")
    while !blocks.isEmpty { operate(false) }
  }

  @Test func `begin small and double with each visit`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        let info = state.info(StackIndex(SizeClass(holding: 64)))
        var blocks: [UnsafeMutableRawPointer] = []
        let first = heap.allocate(size: 64)!
        let cached = heap.statistics().cachedObjects
        #expect(cached <= StackInfo.firstCapacity, "the first allocation cached \(cached) objects")
        #expect(heap.committedBytes == info.slab.frames * Frames.bytes)
        var capacities: [Int] = []
        for _ in 0..<4 * info.capacity {
          blocks.append(heap.allocate(size: 64)!)
          if let cache = LocalCache(state), case .open(let capacity) = cache.condition(info),
            capacity != capacities.last
          {
            capacities.append(capacity)
          }
        }
        #expect(capacities == [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192])
        for block in blocks + [first] { heap.deallocate(block, size: 64) }
      }
    }
  }

  @Test func `hold no more than their stacks and the depots, whatever is freed into them`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      for sizeClass in [SizeClass(holding: 64), SizeClass(holding: 4096), SizeClass(holding: 32_768)] {
        let info = state.info(StackIndex(sizeClass))
        let count = info.capacity + info.batch * 60
        let blocks = (0..<count).map { _ in heap.allocate(size: sizeClass.bytes)! }
        for block in blocks { heap.deallocate(block, size: sizeClass.bytes) }
        // T58: a full stack for each CPU that this thread ran on, and 32 in the depot.
        let bound = max(state.regionsUsed, 1) * info.capacity + StackInfo.depotSlots * info.batch
        let cached = heap.statistics().cachedObjects
        #expect(cached <= bound)
        if state.caches { #expect(cached > 0) }
        heap.drain()
        #expect(heap.statistics().cachedObjects == 0)
      }
    }
  }

  @Test func `keep the bytes of objects untouched`() throws {
    try withHeap { heap in
      for sizeClass in (0..<SizeClass.count).map({ SizeClass(index: $0) }) {
        let count = 3 * StackInfo(StackIndex(sizeClass), after: nil).capacity
        let blocks = (0..<count).map { _ in heap.allocate(size: sizeClass.bytes)! }
        for (index, block) in blocks.enumerated() {
          block.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: index), count: sizeClass.bytes)
        }
        for block in blocks { heap.deallocate(block, size: sizeClass.bytes) }
        heap.drain()
        // Nobody else uses this heap, and nothing was purged: the memory is still there to be read.
        for (index, block) in blocks.enumerated() {
          let bytes = UnsafeMutableRawBufferPointer(start: block, count: sizeClass.bytes)
          guard allBytes(bytes, are: UInt8(truncatingIfNeeded: index)) else {
            Issue.record("an object of \(sizeClass.bytes) bytes was written to while it was free")
            break
          }
        }
      }
    }
  }

  @Test func `make no difference to statistics`() throws {
    try withHeap { heap in
      var live = 0
      for index in 0..<SizeClass.count {
        let bytes = SizeClass(index: index).bytes
        var blocks = (0..<index + 3).map { _ in heap.allocate(size: bytes)! }
        live += blocks.count
        #expect(heap.statistics().liveObjects == live)
        heap.deallocate(blocks.removeLast(), size: bytes)
        live -= 1
        #expect(heap.statistics().liveObjects == live)
        for block in blocks { heap.deallocate(block, size: bytes) }
        live -= blocks.count
      }
      let statistics = heap.statistics()
      #expect(statistics.liveObjects == 0)
      #expect(statistics.liveBytes == 0)
      #expect(statistics.carvedObjects == statistics.cachedObjects + statistics.freeObjects)
      #expect(statistics.slabsMade - statistics.slabsEnded == statistics.slabs)
    }
  }
}
