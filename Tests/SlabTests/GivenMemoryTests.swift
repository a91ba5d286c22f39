import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// Memory as a kernel gives it: any address, any size. Its tests extend its lifetime: a heap does not hold it.
private final class GivenMemory {
  let start: UnsafeMutableRawPointer
  let bytes: Int
  private let whole: UnsafeMutableRawPointer

  init(_ bytes: Int, offset: Int = 0) throws {
    whole = try #require(ka_os_map(bytes + offset, 4096))
    start = whole + offset
    self.bytes = bytes
    // A kernel's memory is not zero.
    start.initializeMemory(as: UInt8.self, repeating: 0xa5, count: bytes)
  }

  var memory: HeapConfiguration.Memory { HeapConfiguration.Memory(start, bytes: bytes) }

  func contains(_ block: UnsafeMutableRawPointer, _ count: Int) -> Bool {
    block >= start && block + count <= start + bytes
  }

  deinit { ka_os_unmap(whole, bytes + (start - whole)) }
}

@Suite struct `Given memory` {
  private func heap(_ given: GivenMemory, nodes: Int = 1) throws -> Heap {
    var configuration = HeapConfiguration()
    configuration.memory = given.memory
    configuration.topology = try .simulated(nodes: nodes)
    return try Heap.create(configuration)
  }

  @Test(arguments: [0, 1, 4095, 12345])
  func `serves everything from inside the range, wherever it begins`(offset: Int) throws {
    let given = try GivenMemory(16 << 20, offset: offset)
    defer { withExtendedLifetime(given) {} }
    let heap = try heap(given)
    #expect(heap.mode == .shared)
    #expect(heap.validate() == nil)
    var blocks: [(UnsafeMutableRawPointer, Int)] = []
    var total = 0
    for size in [16, 100, 4096, 32768, 40_000, 1 << 20] {
      for _ in 0..<3 {
        let block = try heap.allocate(size: size, alignment: 16, flags: [.kernel, .zero], node: nil)
        #expect(given.contains(block.baseAddress!, block.count))
        #expect(allBytes(block, are: 0))
        block.initializeMemory(as: UInt8.self, repeating: 0xff)
        blocks.append((block.baseAddress!, size))
        total += block.count
      }
    }
    #expect(heap.statistics().liveBytes == total)
    #expect(heap.validate() == nil)
    for (block, size) in blocks { heap.deallocate(block, size: size) }
    #expect(heap.trim() == 0, "given memory does not go to the operating system")
    #expect(heap.committedBytes == 0)
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `is used up to the last frame, then fails, and is whole again afterwards`() throws {
    let given = try GivenMemory(8 << 20)
    defer { withExtendedLifetime(given) {} }
    let heap = try heap(given)
    let free = heap.statistics().pages.freeFrames
    #expect(free > 512)
    for _ in 0..<2 {
      var pages: [UnsafeMutableRawPointer] = []
      while let page = try? heap.allocatePages(order: 0) { pages.append(page) }
      #expect(pages.count == free)
      #expect(throws: AllocError.outOfMemory) { try heap.allocatePages(order: 0) }
      #expect(heap.allocate(size: 16) == nil)
      for page in pages { heap.deallocatePages(page, order: 0) }
      #expect(heap.validate() == nil)
      #expect(heap.statistics().pages.freeFrames == free)
    }
    #expect(heap.allocate(size: 2 << 30) == nil, "nothing is mapped behind the caller's back")
    #expect(heap.destroy())
  }

  @Test func `too small for the heap's own words is refused`() throws {
    for bytes in [-1, 0, 1, 4096, 16_384] {
      let given = try GivenMemory(max(bytes, 1))
      defer { withExtendedLifetime(given) {} }
      var configuration = HeapConfiguration()
      configuration.memory = HeapConfiguration.Memory(given.start, bytes: bytes)
      #expect(throws: AllocError.self) { try Heap.create(configuration) }
    }
  }

  @Test func `can be added, range by range, to any node`() throws {
    let first = try GivenMemory(8 << 20)
    let second = try GivenMemory(3 << 20, offset: 777)
    let third = try GivenMemory(5 << 20)
    defer { withExtendedLifetime((first, second, third)) {} }
    let heap = try heap(first, nodes: 2)
    try heap.addRegion(second.memory, node: NodeIndex(0))
    try heap.addRegion(third.memory, node: NodeIndex(1))
    #expect(throws: AllocError.nodeUnavailable) { try heap.addRegion(third.memory, node: NodeIndex(2)) }
    #expect(throws: AllocError.nodeUnavailable) { try heap.addRegion(third.memory, node: NodeIndex(-1)) }
    let tiny = try GivenMemory(10_000)
    defer { withExtendedLifetime(tiny) {} }
    #expect(throws: AllocError.self) { try heap.addRegion(tiny.memory, node: NodeIndex(0)) }

    // One that the rest of the first range has no room for (T33).
    let block = try heap.allocate(size: 4 << 20, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(1))
    #expect(third.contains(block.baseAddress!, block.count))
    #expect(heap.node(of: block.baseAddress!) == NodeIndex(1))
    #expect(throws: AllocError.nodeUnavailable) {
      try heap.allocate(size: 4 << 20, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(1))
    }
    var pages: [UnsafeMutableRawPointer] = []
    while let page = try? heap.allocatePages(order: 0) { pages.append(page) }
    #expect(pages.contains { second.contains($0, 4096) })
    #expect(pages.contains { first.contains($0, 4096) })
    #expect(pages.contains { third.contains($0, 4096) })
    for page in pages { heap.deallocatePages(page, order: 0) }
    heap.deallocate(block.baseAddress!)
    #expect(heap.committedBytes == 0)
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `added while threads allocate is found by them`() throws {
    let first = try GivenMemory(8 << 20)
    let more = try (0..<4).map { _ in try GivenMemory(2 << 20) }
    defer { withExtendedLifetime((first, more)) {} }
    let heap = try heap(first)
    let ranges = more.map(\.memory)
    let failed = Counter()
    onThreads(3) { thread in
      var random = Random(seed: UInt64(thread + 1))
      if thread == 0 {
        for range in ranges { if (try? heap.addRegion(range, node: NodeIndex(0))) == nil { failed.add() } }
      }
      for _ in 0..<2000 {
        let size = 1 + random.below(5000)
        guard let block = heap.allocate(size: size) else {
          failed.add()
          continue
        }
        block.storeBytes(of: 1, as: UInt8.self)
        heap.deallocate(block, size: size)
      }
    }
    #expect(failed.value == 0)
    #expect(heap.validate() == nil)
    let block = try heap.allocatePages(order: 8)
    heap.deallocatePages(block, order: 8)
    heap.drain()
    #expect(heap.committedBytes == 0)
    #expect(heap.destroy())
  }
}
