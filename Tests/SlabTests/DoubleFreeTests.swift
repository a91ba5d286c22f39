import CTestSupport
import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// P5: what a second free meets, and when it is found. Each child ends with status 0 where it has gone on unnoticed.
@Suite struct `A double free` {
  /// What a child that was to be trapped has said.
  private func said(_ result: ExitTest.Result?) -> String {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
  }

  @Test(arguments: [64, 1000, 32768])
  func `is found when both copies leave the stack in one batch`(size: Int) async {
    let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [size = size as Int] in
      let heap = try cachingHeap()
      let info = StackInfo(StackIndex(SizeClass(holding: size)), after: nil)
      let count = info.batch
      let blocks = (0..<2 * info.capacity + count).map { _ in heap.allocate(size: size)! }
      fillStack(heap, blocks, size)
      // The newest N: the first of them twice, with what else there is in between.
      heap.deallocate(blocks[0], size: size)
      for block in blocks[1..<max(count - 1, 1)] { heap.deallocate(block, size: size) }
      heap.deallocate(blocks[0], size: size)
      goOnUntilFlush(heap, Array(blocks[count...]), size)
    }
    #expect(said(end).contains("double free"))
  }

  @Test(arguments: [64, 1000, 32768])
  func `is found when its slab has the object already and it leaves the stack`(size: Int) async {
    let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [size = size as Int] in
      let heap = try cachingHeap()
      let info = StackInfo(StackIndex(SizeClass(holding: size)), after: nil)
      let count = info.batch
      let blocks = (0..<2 * info.capacity + count).map { _ in heap.allocate(size: size)! }
      heap.deallocate(blocks[0], size: size)
      heap.drain()
      fillStack(heap, blocks, size)
      heap.deallocate(blocks[0], size: size)
      goOnUntilFlush(heap, Array(blocks[1...]), size)
    }
    #expect(said(end).contains("double free"))
  }

  #if DEBUG
    @Test func `is found at once in debug builds where the first copy lies on top or in its slab`() async {
      for drains in [false, true] {
        let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
          [drains = drains as Bool] in
          let heap = try cachingHeap()
          let blocks = (0..<3).map { _ in heap.allocate(size: 64)! }
          heap.deallocate(blocks[0], size: 64)
          if drains { heap.drain() }
          heap.deallocate(blocks[0], size: 64)
          exit(0)
        }
        #expect(said(end).contains("double free"))
      }
    }
  #endif

  @Test func `of pages is found when they leave the stack`() async {
    let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try cachingHeap()
      let pages = try (0..<600).map { _ in try heap.allocatePages(order: 1) }
      heap.deallocatePages(pages[0], order: 1)
      heap.drain()
      // N below it, so that it is of the N that leave.
      for page in pages[1...128] { heap.deallocatePages(page, order: 1) }
      heap.deallocatePages(pages[0], order: 1)
      for page in pages[129...] where heap.statistics().flushes == 0 { heap.deallocatePages(page, order: 1) }
      exit(0)
    }
    #expect(said(end).contains("double free"))
  }

  @Test func `of a large block is found at once`() async {
    let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try cachingHeap()
      let block = heap.allocate(size: 100_000)!
      heap.deallocate(block, size: 100_000)
      heap.deallocate(block, size: 100_000)
      exit(0)
    }
    #expect(said(end).contains("double free"))
  }

  @Test func `of a large block is known until another block begins at its address`() throws {
    try withHeap { heap in
      let block = try #require(heap.allocate(size: 100_000))
      #expect(heap.deallocateUnsized(block + 4096) == .foreign)
      heap.deallocate(block, size: 100_000)
      for drains in [false, true] {
        // First from the stack, in the modes that have one.
        if drains { heap.drain() }
        #expect(heap.deallocateUnsized(block) == .doubleFree)
        #expect(heap.deallocateUnsized(block + 4096) == .foreign)
      }
      let again = try #require(heap.allocate(size: 50_000))
      #expect(again == block)
      #expect(heap.deallocateUnsized(block) == nil)
      #expect(heap.deallocateUnsized(block) == .doubleFree)
    }
  }

  @Test func `in a batch is found wherever the two copies stand`() {
    let room = UnsafeMutablePointer<UInt64>.allocate(capacity: StackInfo.maximumBatch)
    defer { room.deallocate() }
    var random = testSeed().random(0)
    for count in [0, 1, 2, 3, 8, 9, 16, 100, StackInfo.maximumBatch] {
      for spacing in [16, 64, 4096, 32768] as [UInt64] {
        for index in 0..<count { room[index] = 0x7f00_0000_0000 + UInt64(index) * spacing }
        for index in 0..<count { swap(&room[index], &room[random.below(count)]) }
        #expect(firstDuplicate(in: room, count: count) == nil)
        if count < 2 { continue }
        for _ in 0..<20 {
          let first = random.below(count)
          let second = (first + 1 + random.below(count - 1)) % count
          let kept = room[second]
          room[second] = room[first]
          #expect(firstDuplicate(in: room, count: count) == room[first])
          room[second] = kept
        }
      }
    }
  }
}

/// A heap whose frees go to a stack of the calling thread.
private func cachingHeap() throws -> Heap {
  var configuration = HeapConfiguration()
  configuration.mode = .thread
  configuration.windowBytes = 256 << 20
  return try Heap.create(configuration)
}

/// Frees so many of the last blocks that the stack has its largest capacity, and room for N.
private func fillStack(_ heap: Heap, _ blocks: [UnsafeMutableRawPointer], _ size: Int) {
  let info = StackInfo(StackIndex(SizeClass(holding: size)), after: nil)
  heap.drain()
  for block in blocks.suffix(info.capacity + 1) { heap.deallocate(block, size: size) }
  _ = heap.allocate(size: size)
}

/// Frees blocks until some have left the stack, and ends the process with status 0 then.
private func goOnUntilFlush(_ heap: Heap, _ blocks: [UnsafeMutableRawPointer], _ size: Int) -> Never {
  let before = heap.statistics().flushes
  for block in blocks {
    heap.deallocate(block, size: size)
    if heap.statistics().flushes > before { break }
  }
  exit(heap.statistics().flushes == before ? 2 : 0)
}
