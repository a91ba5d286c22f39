import KAlloc
import Slab

/// The allocator that all this is about.
///
/// Blocks go back by their size, as the library does it; with `mixesForms`, one in eight without (found by its address), and
/// one in eight is asked for through the full form, so that these ways are run, too.
struct HeapAllocator: AllocatorUnderTest {
  let heap: Heap
  let mixesForms: Bool
  /// Whether the heaps that are made beside this one are of all modes, or of this one's.
  var mixesModes = false

  var name: String { "kalloc" }
  var shrinkingNeverFails: Bool { true }
  var makesScratchHeaps: Bool { true }

  @inline(__always)
  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    if mixesForms { return allocateInMixedForms(size, alignment, zeroed) }
    if !zeroed { return heap.allocate(size: size, alignment: alignment) }
    // SAFETY: a size of at least 1, and the alignment is a power of two.
    let layout = Layout(uncheckedSize: size, alignment: alignment)
    return try? heap.allocate(layout, flags: [.kernel, .zero], node: .any).baseAddress
  }

  @inline(never)
  private func allocateInMixedForms(_ size: Int, _ alignment: Int, _ zeroed: Bool) -> UnsafeMutableRawPointer? {
    if !zeroed && size & 7 != 3 { return heap.allocate(size: size, alignment: alignment) }
    let flags: AllocFlags = zeroed ? [.kernel, .zero] : .kernel
    return try? heap.allocate(size: size, alignment: alignment, flags: flags, node: nil).baseAddress
  }

  @inline(__always)
  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) {
    if mixesForms { return deallocateInMixedForms(block, size, alignment) }
    heap.deallocate(block, size: size, alignment: alignment)
  }

  @inline(never)
  private func deallocateInMixedForms(_ block: UnsafeMutableRawPointer, _ size: Int, _ alignment: Int) {
    if size & 7 == 5 { return heap.deallocate(block) }
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

  func levels() -> AllocatorLevels? {
    let statistics = heap.statistics()
    var levels = AllocatorLevels(live: statistics.liveBytes, committed: statistics.committedBytes)
    let free = statistics.pages.freeByOrder
    levels.freePagesByOrder = free.indices.map { free[$0] }
    if heap.mode == .rseq { levels.missesByCPU = (0..<heap.cacheCount).map { heap.cacheStatistics($0).misses } }
    return levels
  }
}
