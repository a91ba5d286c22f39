import TestSupport
import Testing

@testable import Slab

/// A heap beside a naive account of what must be live in it, and every block written from end to end.
private struct Model: ~Copyable {
  struct Block {
    var start: UnsafeMutableRawPointer
    var size: Int
    var alignment: Int
    var usable: Int
    var stamp: UInt8
    /// The order, for what `allocatePages` gave.
    var order: Int?
  }

  let heap: Heap
  let seed: Seed
  var random: Random
  var blocks: [Block] = []
  var stamps: UInt8 = 0

  init(_ heap: Heap, _ seed: Seed) {
    self.heap = heap
    self.seed = seed
    random = seed.random()
  }

  /// Mostly small, sometimes large; exact class sizes and their neighbours are frequent.
  mutating func size() -> Int {
    switch random.below(20) {
    case 0..<10: 1 + random.below(512)
    case 10..<14: 1 + random.below(32768)
    case 14..<17: max(SizeClass(index: random.below(SizeClass.count)).bytes + random.below(3) - 1, 1)
    case 17..<19: 1 + random.below(200_000)
    default: 1 + random.below(5 << 20)
    }
  }

  mutating func alignment() -> Int {
    switch random.below(10) {
    case 0..<6: 16
    case 6..<9: 1 << random.below(13)
    default: 1 << random.below(18)
    }
  }

  mutating func add(_ block: Block) {
    var block = block
    #expect(block.start.bits % UInt(block.alignment) == 0, "\(block.alignment); \(seed)")
    #expect(block.usable >= block.size, "\(seed)")
    let end = block.start + block.usable
    for other in blocks where block.start < other.start + other.usable && other.start < end {
      Issue.record("\(block) overlaps \(other); \(seed)")
    }
    stamps &+= 1
    block.stamp = stamps
    block.start.initializeMemory(as: UInt8.self, repeating: stamps, count: block.usable)
    blocks.append(block)
  }

  func verify(_ block: Block, upTo count: Int) {
    let bytes = UnsafeRawBufferPointer(start: block.start, count: count)
    // Every byte of small blocks; the ends and each page of large ones.
    for offset in stride(from: 0, to: count, by: count > 4096 ? 509 : 1) where bytes[offset] != block.stamp {
      Issue.record("byte \(offset) of \(block) is \(bytes[offset]); \(seed)")
      return
    }
    if count > 0 { #expect(bytes[count - 1] == block.stamp, "\(seed)") }
  }

  mutating func allocate() {
    let (size, alignment) = (size(), alignment())
    let usable = Heap.usableSize(size: size, alignment: alignment)!
    guard let start = heap.allocate(size: size, alignment: alignment) else {
      Issue.record("no \(size) bytes at \(alignment); \(seed)")
      return
    }
    add(Block(start: start, size: size, alignment: alignment, usable: usable, stamp: 0))
  }

  mutating func allocateZeroed() throws {
    let (size, alignment) = (size(), alignment())
    let buffer = try heap.allocate(size: size, alignment: alignment, flags: [.kernel, .zero], node: nil)
    #expect(buffer.count == Heap.usableSize(size: size, alignment: alignment), "\(seed)")
    #expect(allBytes(buffer, are: 0), "\(size) bytes at \(alignment) are not zero; \(seed)")
    add(Block(start: buffer.baseAddress!, size: size, alignment: alignment, usable: buffer.count, stamp: 0))
  }

  mutating func allocatePages() throws {
    let order = random.below(10)
    let start = try heap.allocatePages(order: order)
    let bytes = 4096 << order
    add(Block(start: start, size: bytes, alignment: bytes, usable: bytes, stamp: 0, order: order))
  }

  mutating func reallocate() throws {
    guard let index = blocks.indices.randomElement(using: &random), blocks[index].order == nil else { return }
    let old = blocks.remove(at: index)
    // Any size from the requested to the usable one is a legal size of the block.
    let oldSize = random.below(2) == 0 ? old.size : old.usable
    let newSize = random.below(3) == 0 ? max(1, old.size + random.below(64) - 32) : size()
    let newAlignment = random.below(4) == 0 ? alignment() : old.alignment
    let zero = random.below(2) == 0
    let buffer = try heap.reallocate(
      old.start, size: oldSize, alignment: old.alignment, newSize: newSize, newAlignment: newAlignment,
      flags: zero ? [.kernel, .zero] : .kernel, node: nil)
    var kept = old
    kept.start = buffer.baseAddress!
    verify(kept, upTo: min(oldSize, newSize))
    if zero && buffer.count > old.usable {
      #expect(allBytes(.init(rebasing: buffer[old.usable...]), are: 0), "\(old) to \(newSize); \(seed)")
    }
    add(
      Block(start: buffer.baseAddress!, size: newSize, alignment: newAlignment, usable: buffer.count, stamp: 0))
  }

  mutating func free() {
    guard let index = blocks.indices.randomElement(using: &random) else { return }
    blocks.swapAt(index, blocks.count - 1)
    let block = blocks.removeLast()
    verify(block, upTo: block.usable)
    if let order = block.order { return heap.deallocatePages(block.start, order: order) }
    #expect(heap.owns(block.start), "\(seed)")
    #expect(heap.usableSize(of: block.start) == block.usable, "\(seed)")
    switch random.below(3) {
    case 0: heap.deallocate(block.start, size: block.size, alignment: block.alignment)
    case 1: heap.deallocate(block.start, size: block.usable, alignment: block.alignment)
    default: heap.deallocate(block.start)
    }
  }

  func check() {
    #expect(heap.validate() == nil, "\(seed)")
    let statistics = heap.statistics()
    let others = blocks.filter { $0.order == nil }
    let small = others.filter { SizeClass(size: $0.size, alignment: $0.alignment) != nil }
    #expect(statistics.liveObjects == small.count, "\(seed)")
    #expect(statistics.largeBlocks == others.count - small.count, "\(seed)")
    #expect(statistics.liveBytes == others.reduce(0) { $0 + $1.usable }, "\(seed)")
    let pages = blocks.reduce(0) { $0 + ($1.order == nil ? 0 : $1.usable) }
    #expect(heap.committedBytes >= statistics.liveBytes + pages, "\(seed)")
    #expect(
      statistics.carvedObjects == statistics.liveObjects + statistics.cachedObjects + statistics.freeObjects, "\(seed)")
  }

  mutating func run(_ operations: Int, live: Int) throws {
    for operation in 1...operations {
      switch random.below(100) {
      case 0..<30: if blocks.count < live { allocate() } else { free() }
      case 30..<38: if blocks.count < live { try allocateZeroed() }
      case 38..<46: if blocks.count < live { try allocatePages() }
      case 46..<60: try reallocate()
      case 60..<98: free()
      case 98: random.below(4) == 0 ? _ = heap.trim() : heap.drain()
      default: check()
      }
      if operation % 500 == 0 { check() }
    }
    while !blocks.isEmpty { free() }
    check()
  }
}

@Suite struct `A heap and a model` {
  @Test(arguments: [1, 3])
  func `agree on a random history`(nodes: Int) throws {
    let seed = testSeed()
    try withHeap(nodes: nodes) { heap in
      var model = Model(heap, seed)
      try model.run(3000, live: 120)
    }
  }

  @Test func `agree in every mode`() throws {
    let seed = testSeed()
    for mode in [BindingMode.rseq, .thread, .shared] {
      try withHeap(mode: mode) { heap in
        var model = Model(heap, seed)
        try model.run(800, live: 60)
      }
    }
  }

  @Test func `agree near a limit, where every request may fail and nothing is lost`() throws {
    let seed = testSeed()
    try withHeap(limit: 3 << 20) { heap in
      var random = seed.random()
      var blocks: [(UnsafeMutableRawPointer, Int)] = []
      var failures = 0
      for _ in 0..<6000 {
        if random.below(5) < 3 {
          let size = random.below(8) == 0 ? 1 + random.below(300_000) : 1 + random.below(3000)
          do throws(AllocError) {
            let buffer = try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil)
            blocks.append((buffer.baseAddress!, size))
          } catch {
            #expect(error == .limitExceeded, "\(seed)")
            failures += 1
          }
          #expect(heap.committedBytes <= 3 << 20, "\(seed)")
        } else if !blocks.isEmpty {
          let (block, size) = blocks.remove(at: random.below(blocks.count))
          heap.deallocate(block, size: size)
        }
      }
      #expect(failures > 0)
      #expect(heap.statistics().peakCommittedBytes <= 3 << 20)
      for (block, size) in blocks { heap.deallocate(block, size: size) }
    }
  }
}
