import Slab

/// The allocator that all this is about.
///
/// Blocks go back by their size, as the library does it; with `mixesForms`, one in eight without (found by its address), and
/// one in eight is asked for through the full form, so that these ways are run, too.
struct HeapAllocator: AllocatorUnderTest {
  let heap: Heap
  let mixesForms: Bool

  var name: String { "kalloc" }
  var shrinkingNeverFails: Bool { true }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    if zeroed { return allocateFully(size, alignment, [.kernel, .zero]) }
    if mixesForms, size & 7 == 3 { return allocateFully(size, alignment, .kernel) }
    return heap.allocate(size: size, alignment: alignment)
  }

  private func allocateFully(_ size: Int, _ alignment: Int, _ flags: AllocFlags) -> UnsafeMutableRawPointer? {
    try? heap.allocate(size: size, alignment: alignment, flags: flags, node: nil).baseAddress
  }

  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) {
    if mixesForms, size & 7 == 5 { return heap.deallocate(block) }
    heap.deallocate(block, size: size, alignment: alignment)
  }

  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int
  ) -> ResizedBlock? {
    guard
      let resized = try? heap.reallocate(
        block, size: size, alignment: alignment, newSize: newSize, newAlignment: alignment, flags: .kernel, node: nil),
      let address = resized.baseAddress
    else { return nil }
    let isKept = resized.count > Heap.usableSize(size: newSize, alignment: alignment) ?? 0
    return ResizedBlock(address: address, size: isKept ? resized.count : newSize)
  }

  func usableSize(of block: UnsafeMutableRawPointer) -> Int? { heap.usableSize(of: block) }

  func allocatePages(order: Int) -> UnsafeMutableRawPointer? { try? heap.allocatePages(order: order) }
  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int) { heap.deallocatePages(block, order: order) }

  func trim() -> Int { heap.trim() }
  var committedBytes: Int? { heap.committedBytes }
  var limit: Int? { heap.limit }
  func setLimit(_ bytes: Int) { heap.limit = bytes }
  func validate() -> String? { heap.validate().map { "\($0)" } }

  func traffic() -> AllocatorTraffic? {
    let statistics = heap.statistics()
    return AllocatorTraffic(
      mode: heap.mode.map { "\($0)" } ?? "none", nodes: heap.topology.nodeCount, depotTakes: statistics.depotTakes,
      depotPuts: statistics.depotPuts, slabTakes: statistics.slabObjectsTaken, slabPuts: statistics.slabObjectsGiven,
      slabsCreated: statistics.slabsMade, slabsReleased: statistics.slabsEnded,
      magazineMisses: statistics.refills + statistics.flushes + statistics.shared,
      remoteFrees: statistics.remoteFrees, aborts: statistics.aborts)
  }
}

extension HeapAllocator {
  /// A small heap of one to four simulated nodes: some thousand blocks, half of them given back out of order, a trim, the
  /// rest, and the end.
  func exerciseScratchHeap(seed: UInt64) -> String? {
    var random = RandomSource(seed: seed, stream: 77)
    var configuration = HeapConfiguration()
    configuration.mode = heap.mode
    configuration.windowBytes = 64 << 20
    do {
      configuration.topology = try Topology.simulated(nodes: 1 + random.below(4))
      let scratch = try Heap.create(configuration)
      let blocks = MappedArray<Block>(count: 1024)
      defer { blocks.unmap() }
      for slot in 0..<blocks.count {
        let size = SizeMix.small.draw(&random).size
        guard let memory = scratch.allocate(size: size) else { return "a new heap refused \(size) bytes" }
        let address = UInt(bitPattern: memory)
        let stamp = Stamp.make(seed: seed, address: address, size: size, serial: UInt64(slot))
        Stamp.write(stamp, to: memory, size: size)
        blocks[slot] = Block(address: address, size: size, stamp: stamp, alignment: 16, order: -1, owner: 0)
      }
      for part in 0..<2 {
        for slot in stride(from: part, to: blocks.count, by: 2) {
          let block = blocks[slot]
          if let wrong = Stamp.firstWrongByte(block.stamp, in: block.pointer, size: block.size) {
            return "a new heap's \(block.description): byte \(wrong) changed"
          }
          scratch.deallocate(block.pointer, size: block.size)
        }
        _ = scratch.trim()
        if let wrong = scratch.validate() { return "a new heap's validate: \(wrong)" }
      }
      guard scratch.committedBytes == 0 else { return "a new heap keeps \(scratch.committedBytes) bytes" }
      return scratch.destroy() ? nil : "a new heap without blocks could not be destroyed"
    } catch {
      return "a new heap: \(error)"
    }
  }
}
