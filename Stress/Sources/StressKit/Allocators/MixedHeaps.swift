import CStress
import Slab

/// Three heaps side by side, one in each binding mode, as one allocator: a thread takes them in turn.
///
/// So every thread is inside heaps of all modes within a few steps. Which of them a block goes back to is found by its
/// address: exactly one heap may own it.
struct MixedHeaps: AllocatorUnderTest {
  private let heaps: (HeapAllocator, HeapAllocator, HeapAllocator)
  private var all: [HeapAllocator] { [heaps.0, heaps.1, heaps.2] }

  init(nodes: Int, mixesForms: Bool) throws {
    func make(_ mode: BindingMode) throws -> HeapAllocator {
      var configuration = HeapConfiguration()
      configuration.mode = mode
      configuration.windowBytes = 4 << 30
      do {
        configuration.topology = try .simulated(nodes: nodes)
        return HeapAllocator(heap: try Heap.create(configuration), mixesForms: mixesForms, mixesModes: true)
      } catch {
        throw Exit(status: 69, message: "a heap in mode \(mode) is not to be had here: \(error)")
      }
    }
    heaps = (try make(.rseq), try make(.thread), try make(.shared))
  }

  /// Whether all heaps could be ended: no block is left.
  func destroy() -> Bool { all.reduce(true) { $1.heap.destroy() && $0 } }

  private var next: HeapAllocator {
    switch cs_turn() % 3 {
    case 0: heaps.0
    case 1: heaps.1
    default: heaps.2
    }
  }

  private func owner(of block: UnsafeMutableRawPointer) -> HeapAllocator {
    let owns = (heaps.0.heap.owns(block), heaps.1.heap.owns(block), heaps.2.heap.owns(block))
    switch owns {
    case (true, false, false): return heaps.0
    case (false, true, false): return heaps.1
    case (false, false, true): return heaps.2
    default: fatalError("kstress: block \(block) is owned by heaps \(owns), not by exactly one")
    }
  }

  var name: String { "mixed" }
  var shrinkingNeverFails: Bool { true }
  var makesScratchHeaps: Bool { true }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    next.allocate(size: size, alignment: alignment, zeroed: zeroed)
  }

  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) {
    owner(of: block).deallocate(block, size: size, alignment: alignment)
  }

  func reallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int) -> ResizedBlock? {
    owner(of: block).reallocate(block, size: size, alignment: alignment, newSize: newSize)
  }

  func usableSize(of block: UnsafeMutableRawPointer) -> Int? { owner(of: block).usableSize(of: block) }
  func allocatePages(order: Int) -> UnsafeMutableRawPointer? { next.allocatePages(order: order) }

  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int) {
    owner(of: block).deallocatePages(block, order: order)
  }

  func trim() -> Int { all.reduce(0) { $0 + $1.trim() } }
  var committedBytes: Int? { all.reduce(0) { $0 + $1.heap.committedBytes } }

  /// What the three may have together.
  var limit: Int? {
    all.reduce(0) { sum, heap in
      let (total, overflow) = sum.addingReportingOverflow(heap.heap.limit)
      return overflow ? .max : total
    }
  }

  /// Each heap may have what it has, and a third of the rest.
  func setLimit(_ bytes: Int) {
    let committed = all.map(\.heap.committedBytes)
    let rest = bytes - committed.reduce(0, +)
    for (heap, held) in zip(all, committed) { heap.setLimit(bytes == .max ? .max : max(0, held + rest / 3)) }
  }

  func validate() -> String? {
    for heap in all {
      if let wrong = heap.validate() { return "\(heap.traffic()?.mode ?? "") heap: \(wrong)" }
    }
    return nil
  }

  func traffic() -> AllocatorTraffic? {
    all.compactMap { $0.traffic() }.reduce(nil) { sum, one in sum.map { $0 + one } ?? one }
  }
  func levels() -> AllocatorLevels? {
    all.compactMap { $0.levels() }.reduce(into: AllocatorLevels(freePagesByOrder: .init(repeating: 0, count: 10))) {
      $0.live += $1.live
      $0.committed += $1.committed
      for order in $1.freePagesByOrder.indices { $0.freePagesByOrder[order] += $1.freePagesByOrder[order] }
    }
  }

  func exerciseScratchHeap(seed: UInt64) -> ScratchResult { heaps.0.exerciseScratchHeap(seed: seed) }
}
