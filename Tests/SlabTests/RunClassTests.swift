import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// The lengths of large blocks.
@Suite struct `Lengths of large blocks` {
  @Test func `hold what is asked for, in order, with at most an eighth more`() {
    #expect(RunClass(holding: 8) == nil && RunClass(holding: RunClass.maximumFrames + 1) == nil)
    var last = -1
    for frames in 9...RunClass.maximumFrames {
      guard let runClass = RunClass(holding: frames) else {
        Issue.record("\(frames) frames have no length")
        continue
      }
      #expect(runClass.frames >= frames && runClass.frames - frames <= frames / 8)
      #expect(RunClass(holding: runClass.frames) == runClass)
      #expect(runClass.index == last || runClass.index == last + 1)
      last = runClass.index
    }
    #expect(last == RunClass.count - 1)
  }

  @Test func `are told by the owner byte of the head`() {
    for index in 0..<RunClass.count {
      let runClass = RunClass(index: index)
      let owner = SlabTable.Owner.run(of: runClass.frames)
      #expect(Int(owner) == StackIndex(runClass).rawValue + 1 && SlabTable.Owner.isRun(owner))
      #expect(StackIndex(runClass).runClass == runClass && StackIndex(runClass).sizeClass == nil)
    }
    #expect(Int(KA_OWNER_RUN) == StackIndex.count + 1)
    for frames in [1, 8, 17, RunClass.maximumFrames + 1] {
      #expect(SlabTable.Owner.run(of: frames) == UInt8(KA_OWNER_RUN))
    }
    for order in 0..<StackIndex.pageOrders { #expect(!SlabTable.Owner.isRun(StackIndex.owner(ofPages: order))) }
  }

  @Test func `are had from the stack by their size alone, and go onto no other`() throws {
    try withHeap { heap in
      guard heap.mode == .rseq else { return }
      onOneCPU {
        for size in [33_000, 65_537, 1 << 20] {
          #expect(heap.allocateCached(large: size) == nil)
          let block = heap.allocate(size: size)!
          for wrong in [RunClass(index: 7), RunClass(index: 8)] where HeapState.frames(size) != wrong.frames {
            let stack = UInt64(CPURegion.offset(StackIndex(wrong)))
            #expect(!heap.deallocateCached(UInt64(block.bits), to: stack))
          }
          heap.deallocate(block, size: size)
          for other in [0, -1, .min, .max, 32768, 1 << 20 + 1, size * 2] {
            #expect(heap.allocateCached(large: other) == nil)
          }
          #expect(heap.allocateCached(large: size) == block)
          heap.deallocate(block, size: size)
          heap.drain()
        }
      }
    }
  }

  @Test func `come back from the stack of the CPU, and leave it with a drain`() throws {
    try withHeap { heap in
      guard try heap.state().get().caches else { return }
      onOneCPU {
        for size in [33_000, 65_536, 200_000, 1 << 20] {
          let block = heap.allocate(size: size)!
          let usable = Heap.usableSize(size: size, alignment: 16)!
          #expect(heap.usableSize(of: block) == usable && heap.statistics().largeBytes == usable)
          heap.deallocate(block, size: size)
          #expect(heap.committedBytes == usable && heap.statistics().largeBlocks == 0)
          #expect(heap.statistics().cachedPageBytes == usable && heap.validate() == nil)
          let again = heap.allocate(size: usable)!
          #expect(again == block)
          heap.deallocate(again)
          #expect(heap.deallocateUnsized(again) == .doubleFree)
          for alignment in [0, 3, .min, -16] { #expect(heap.allocate(size: size, alignment: alignment) == nil) }
          heap.drain()
          #expect(heap.committedBytes == 0 && heap.validate() == nil)
        }
      }
    }
  }

  @Test func `zeroed ones are zero, also from the stack`() throws {
    try withHeap { heap in
      let block = try #require(heap.allocate(size: 100_000))
      block.initializeMemory(as: UInt8.self, repeating: 7, count: 100_000)
      heap.deallocate(block, size: 100_000)
      let zeroed = try heap.allocate(size: 100_000, alignment: 16, flags: [.kernel, .zero], node: nil)
      #expect(allBytes(zeroed, are: 0))
      heap.deallocate(zeroed.baseAddress!, size: 100_000)
    }
  }

  @Test func `that were resized in place go onto the stack of their new length`() throws {
    try withHeap { heap in
      guard try heap.state().get().caches else { return }
      onOneCPU {
        let block = heap.allocate(size: 1 << 20)!
        let shrunk = try! heap.reallocate(
          block, size: 1 << 20, alignment: 16, newSize: 100_000, newAlignment: 16, flags: .kernel, node: nil)
        #expect(shrunk.baseAddress == block && shrunk.count == Heap.usableSize(size: 100_000, alignment: 16))
        heap.deallocate(block, size: 100_000)
        #expect(heap.committedBytes == shrunk.count)
        let again = heap.allocate(size: 100_000)
        #expect(again == block)
        heap.deallocate(block)
        heap.drain()
        #expect(heap.committedBytes == 0 && heap.validate() == nil)
      }
    }
  }

  @Test(arguments: [1, 2])
  func `that are mapped for their alignment go on no stack`(nodes: Int) throws {
    try withHeap(nodes: nodes, windowBytes: 16 << 20) { heap in
      let block = try #require(heap.allocate(size: 65_536, alignment: 32 << 20))
      #expect(heap.committedBytes == 65_536)
      heap.deallocate(block, size: 65_536, alignment: 32 << 20)
      #expect(heap.committedBytes == 0 && heap.validate() == nil)
    }
  }

  @Test func `go back from the stacks before memory is used that was never touched, where they are many`() throws {
    try withHeap { heap in
      guard try heap.state().get().caches else { return }
      onOneCPU {
        func leaveOnStacks(_ frames: ClosedRange<Int>) -> (bytes: Int, end: UInt) {
          let blocks = frames.map { (block: heap.allocate(size: $0 * 4096)!, bytes: $0 * 4096) }
          for (block, bytes) in blocks { heap.deallocate(block, size: bytes) }
          return (blocks.reduce(0) { $0 + $1.bytes }, blocks.map { UInt(bitPattern: $0.block) + UInt($0.bytes) }.max()!)
        }
        let few = leaveOnStacks(9...12)
        let large = heap.allocate(size: 30 * 4096)!
        #expect(heap.committedBytes == few.bytes + 30 * 4096, "less than 256 KiB stay")
        heap.deallocate(large, size: 30 * 4096)
        heap.drain()

        let many = leaveOnStacks(9...16)
        #expect(heap.committedBytes == many.bytes)
        let next = heap.allocate(size: 60 * 4096)!
        #expect(heap.committedBytes == 60 * 4096 && UInt(bitPattern: next) + 60 * 4096 <= many.end)
        heap.deallocate(next, size: 60 * 4096)
        heap.drain()
        #expect(heap.committedBytes == 0 && heap.validate() == nil)
      }
    }
  }

  @Test func `stay on the stacks where another node's memory is used`() throws {
    try withHeap(nodes: 2) { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      onOneCPU {
        let blocks = (9...16).map { (block: heap.allocate(size: $0 * 4096)!, bytes: $0 * 4096) }
        for (block, bytes) in blocks { heap.deallocate(block, size: bytes) }
        let held = blocks.reduce(0) { $0 + $1.bytes }
        #expect(heap.committedBytes == held)
        for (node, left) in [(NodeIndex(1 - state.localNode.rawValue), held), (state.localNode, 0)] {
          let block = try! heap.allocate(size: 60 * 4096, alignment: 16, flags: [.kernel, .thisNode], node: node)
          #expect(heap.committedBytes == left + 60 * 4096)
          heap.deallocate(block.baseAddress!, size: 60 * 4096)
          if left == held { #expect(heap.committedBytes == held) }
        }
      }
    }
  }

  @Test func `no more of them stay on a stack than it has room for`() throws {
    try withHeap { heap in
      let blocks = try (0..<100).map { _ in try #require(heap.allocate(size: 300_000)) }
      for block in blocks { heap.deallocate(block, size: 300_000) }
      let state = try heap.state().get()
      #expect(heap.committedBytes <= state.regionCount * 524_288)
    }
  }
}
