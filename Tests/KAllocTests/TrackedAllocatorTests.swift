// What an allocator does to the blocks that it is asked to change, seen from below: nothing lost, nothing else touched,
// failures without trace.

import AllocatorTesting
import KAlloc
import Testing

@Suite struct TrackedAllocatorTests {
  @Test func `requests for no bytes are not counted, not even where everything fails`() throws {
    let tracked = TrackingAllocator(SystemAllocator())
    tracked.log.failEverything(true)
    let none = try Layout(size: 0, alignment: 16)
    _ = try tracked.allocate(none)
    _ = try tracked.reallocate(nil, from: none, to: none)
    tracked.deallocate(none.dangling, none)
    #expect(tracked.log.allocations == 0 && tracked.log.reallocations == 0 && tracked.log.frees == 0)
    #expect(tracked.log.injections == 0)
    #expect(try FailingAllocator().allocate(none).count == 0)
    #expect(throws: AllocError.outOfMemory) { try FailingAllocator().allocate(Layout(size: 1, alignment: 1)) }
  }

  @Test func `a failed reallocation keeps the block, its bytes and nothing else`() throws {
    // The default implementation over a counted allocator: its own requests fail one after the other.
    struct Moving: Allocator {
      let base: TrackingAllocator<MinimalAllocator>
      static var minAlignment: Int { 1 }
      static func usableSize(for layout: Layout) -> Int { MinimalAllocator.usableSize(for: layout) }
      func allocate(
        _ layout: Layout, flags: AllocFlags, node: NumaNode
      ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(layout, flags: flags, node: node)
      }
      func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) { base.deallocate(block, layout) }
    }
    let moving = Moving(base: TrackingAllocator(MinimalAllocator()))
    let log = moving.base.log
    let old = try Layout(size: 100, alignment: 8)
    let block = try moving.allocate(old)
    for index in block.indices { block[index] = UInt8(index) }

    for new in [try Layout(size: 200, alignment: 8), try Layout(size: 50, alignment: 512)] {
      log.fail(nth: 1)
      #expect(throws: AllocError.injected) { try moving.reallocate(block.baseAddress, from: old, to: new) }
      #expect(block.enumerated().allSatisfy { $1 == UInt8($0) })
      #expect(log.live == 1)
    }

    // A shrink does not fail: the block is kept, and the count says that it is the whole of it.
    log.fail(nth: 1)
    let kept = try moving.reallocate(block.baseAddress, from: old, to: Layout(size: 50, alignment: 8))
    #expect(kept.baseAddress == block.baseAddress)
    #expect(kept.count == 100)

    moving.deallocate(kept.baseAddress!, try Layout(size: kept.count, alignment: 8))
    #expect(log.live == 0)
    #expect(log.violations.isEmpty)
  }

  @Test func `a reallocation fails cleanly at each of its requests, and then succeeds`() throws {
    for (from, to) in [(10, 1000), (1000, 10), (100, 100_000)] {
      for alignment in [8, 256] {
        for n in 1... {
          let tracked = TrackingAllocator(SystemAllocator())
          let old = try Layout(size: from, alignment: 8)
          let new = try Layout(size: to, alignment: alignment)
          let block = try tracked.allocate(old)
          for index in 0..<from { block[index] = UInt8(truncatingIfNeeded: index) }
          tracked.log.fail(nth: n)
          var final = block
          var layout = old
          if let moved = try? tracked.reallocate(block.baseAddress, from: old, to: new) {
            final = moved
            layout = new
          }
          #expect((0..<min(from, layout.size)).allSatisfy { final[$0] == UInt8(truncatingIfNeeded: $0) })
          tracked.deallocate(final.baseAddress!, layout)
          #expect(tracked.log.live == 0)
          #expect(tracked.log.violations.isEmpty)
          if tracked.log.cancelPlan() { break }
        }
      }
    }
  }

  @Test func `the tracker notices a foreign pointer, a second free and a wrong layout`() throws {
    let tracked = TrackingAllocator(SystemAllocator())
    let layout = try Layout(size: 100, alignment: 8)
    let block = try tracked.allocate(layout)
    tracked.deallocate(block.baseAddress! + 1, layout)
    #expect(tracked.log.violations.count == 1)
    tracked.deallocate(block.baseAddress!, try Layout(size: 1000, alignment: 8))
    #expect(tracked.log.violations.count == 2)
    tracked.deallocate(block.baseAddress!, layout)
    #expect(tracked.log.violations.count == 2)
    tracked.deallocate(block.baseAddress!, layout)
    #expect(tracked.log.violations.count == 3)
  }
}
