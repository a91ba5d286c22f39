import CTestSupport
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// F68, F69.
@Suite struct `A region that somebody stopped` {
  private func stop(_ state: HeapState, _ number: UInt64) {
    for index in 0..<state.regionCount {
      #expect(state.region(index).gate.compareExchangeSequentiallyConsistent(CPURegion.open, number) == CPURegion.open)
      state.outgoingRegion(index)?.gate.storeSequentiallyConsistent(number)
    }
  }

  private func start(_ state: HeapState) {
    for index in 0..<state.regionCount {
      state.outgoingRegion(index)?.gate.storeRelease(CPURegion.open)
      state.region(index).gate.storeRelease(CPURegion.open)
    }
  }

  @Test(arguments: [1, 2])
  func `sends operations to the shared path, and they finish`(nodes: Int) throws {
    try withHeap(nodes: nodes) { heap in
      let state = try heap.state().get()
      // As a drain that was killed leaves it: the stacks closed, the gate shut. Statistics look at regions in use.
      if state.caches { state.regionIsUsed(min(state.regionCount, 256) - 1) }
      stop(state, 77)
      onThreads(3) { thread in
        var blocks: [(UnsafeMutableRawPointer, Int)] = []
        for round in 0..<500 {
          let size = 1 + (round * 37 + thread) % 3000
          blocks.append((heap.allocate(size: size)!, size))
        }
        for (block, size) in blocks { heap.deallocate(block, size: size) }
        let page = try! heap.allocatePages(order: 1)
        heap.deallocatePages(page, order: 1)
      }
      let statistics = heap.statistics()
      #expect(statistics.cachedObjects == 0)
      #expect(statistics.refills == 0)
      if state.caches { #expect(statistics.shared >= 1500) }
      #expect(heap.validate() == nil)
      start(state)
      let block = try #require(heap.allocate(size: 64))
      heap.deallocate(block, size: 64)
      if state.caches { #expect(heap.statistics().cachedObjects > 0) }
    }
  }

  @Test func `is left alone by other drains`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        let block = heap.allocate(size: 64)!
        heap.deallocate(block, size: 64)
        let cached = heap.statistics().cachedObjects
        self.stop(state, 77)
        heap.drain()
        #expect(heap.statistics().cachedObjects == cached)
        self.start(state)
        heap.drain()
        #expect(heap.statistics().cachedObjects == 0)
      }
    }
  }

  /// A handler, or another thread of the CPU, may run between any two steps of opening and growing a stack, and a
  /// drain may close it there. So each step by itself, in any state, must leave a stack that is closed or usable.
  @Test func `never has a stack that is half open`() throws {
    try withHeap { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        let info = state.info(StackIndex(SizeClass(holding: 64)))
        let stack = CPURegion.offset(info.stack)
        let cache = LocalCache(state)!
        let region = cache.region
        let array = region.array(info)
        let words = [region.top(at: stack), region.begin(at: stack), region.end(at: stack), region.room(at: stack)]
        // Below the array lies another stack's memory: what a pop that reads there would find.
        AtomicWord(UnsafeMutablePointer(bitPattern: UInt(array) - 8)!).storeRelaxed(0xbad0)
        func expectNothing(_ what: String) {
          let found = words.map { $0.loadRelaxed() }
          let isClosed = found[2] == 0 && found[3] == 0 && found[0] <= found[1]
          let isEmpty = found[0] == array && found[1] == array && found[3] > array && found[2] <= found[3]
          #expect(isClosed || isEmpty, "\(what): \(found) for the array \(array)")
        }
        state.regionIsUsed(cache.index)
        // What a thread that was interrupted in `open`, `grow` or `alignEnd` may find when it goes on: a closed stack,
        // a stack that another one opens, one that is open.
        let room = array + 128
        let states: [[UInt64]] = [
          [0, 0, 0, 0], [0, array, 0, 0], [array, array, 0, 0], [array, array, 0, room], [array, array, room, room],
        ]
        for state in states {
          func restore() { for (word, value) in zip(words, state) { word.storeRelaxed(value) } }
          restore()
          expectNothing("before")
          for capacity in [16, 32, 64] {
            cache.grow(info, from: capacity)
            expectNothing("growing \(state) from \(capacity)")
          }
          restore()
          cache.alignEnd(info)
          expectNothing("aligning \(state)")
          restore()
          #expect(cache.pop(stack) == 0)
          // Each step of `open`, alone.
          for word in 0..<4 {
            for guardWord in 0..<4 {
              restore()
              let steps: [(Int, UInt64, Int, UInt64)] = [
                (KA_STACK_BEGIN, array, KA_STACK_ROOM, 0), (KA_STACK_TOP, array, KA_STACK_BEGIN, array),
                (KA_STACK_ROOM, room, KA_STACK_TOP, array), (KA_STACK_END, room, KA_STACK_ROOM, room),
              ].map { (Int($0.0), $0.1, Int($0.2), $0.3) }
              for step in [steps[word], steps[guardWord]] {
                cache.replace(cache.index, stack + step.0, 0, step.1, where: stack + step.2, holds: step.3)
                expectNothing("steps \(word), \(guardWord) in \(state)")
              }
            }
          }
          restore()
          cache.open(info)
          expectNothing("opening \(state)")
          #expect(region.room(at: stack).loadRelaxed() > array)
        }
        for word in words { word.storeRelaxed(0) }
        // Opening what is in use changes nothing.
        let block = heap.allocate(size: 64)!
        heap.deallocate(block, size: 64)
        let fill = region.fill(info)
        cache.open(info)
        #expect(region.fill(info) == fill)
        #expect(heap.allocate(size: 64) == block)
        heap.deallocate(block, size: 64)
      }
    }
  }

  /// Each operation may be the one that opens the stack, because a drain has closed it just before: another thread's,
  /// or that of a handler in the middle of the opening.
  @Test func `is opened while drains close it, and nothing goes astray`() throws {
    final class Context {
      let heap: Heap
      init(_ heap: Heap) { self.heap = heap }
    }
    try withHeap { heap in
      // Generic code of a debug build takes a lock of Swift's runtime at its first use, which must not be in a handler that
      // interrupts just that.
      heap.deallocate(heap.allocate(size: 64)!, size: 64)
      heap.drain()
      let working = Counter(2)
      let wrong = Counter()
      onThreads(3) { thread in
        if thread == 2 {
          while working.value > 0 { heap.drain() }
          return
        }
        let context = Context(heap)
        let storm = ct_storm_begin(
          100,
          { context in
            let heap = Unmanaged<Context>.fromOpaque(context!).takeUnretainedValue().heap
            let block = heap.allocate(size: 64)
            heap.drain()
            if let block { heap.deallocate(block, size: 64) }
          }, Unmanaged.passUnretained(context).toOpaque())
        for round in 0..<8000 {
          let block = heap.allocate(size: 64)!
          block.storeBytes(of: thread << 32 | round, as: Int.self)
          let other = heap.allocate(size: 80)!
          other.storeBytes(of: -1, as: Int.self)
          if block.load(as: Int.self) != thread << 32 | round { wrong.add() }
          heap.deallocate(other, size: 80)
          heap.deallocate(block, size: 64)
        }
        if let storm { ct_storm_end(storm) }
        withExtendedLifetime(context) {}
        working.add(-1)
      }
      #expect(wrong.value == 0)
    }
  }
}
