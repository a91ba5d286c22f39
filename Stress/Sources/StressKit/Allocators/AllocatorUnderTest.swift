// What the scenarios need of an allocator, and nothing more: so that the same run can be made on the real heap, on the
// C library (does the harness itself hold?) and, in the tests, on allocators that are broken on purpose.

/// An allocator that a stress run or a replay works on.
///
/// Concurrent: every member may be called from any number of threads at once, except `validate()`, which is called
/// only while no other call is under way.
protocol AllocatorUnderTest: Sendable {
  /// How the report calls it.
  var name: String { get }

  /// `size` ≥ 1, `alignment` a power of two of at least 1. `nil` where memory is refused.
  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer?
  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int)
  /// `nil` where memory is refused, and then the old block is as it was.
  func reallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int) -> ResizedBlock?
  /// Whether `reallocate` to a smaller size keeps the block rather than refuse.
  var shrinkingNeverFails: Bool { get }
  /// Bytes that may be used of a live block: at least those asked for. `nil` where the allocator does not know the block.
  func usableSize(of block: UnsafeMutableRawPointer) -> Int?

  /// `allocate` and `reallocate` at a step of a replay: for one that knows beforehand where the blocks will lie.
  func place(at step: Int, size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer?
  func move(_ block: UnsafeMutableRawPointer, at step: Int, size: Int, alignment: Int, newSize: Int) -> ResizedBlock?

  /// 4096 << order bytes, aligned to their size.
  func allocatePages(order: Int) -> UnsafeMutableRawPointer?
  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int)
  /// Orders that `allocatePages` serves.
  var pageOrders: ClosedRange<Int> { get }

  /// Gives back what is cached; bytes returned to the operating system.
  func trim() -> Int
  /// Bytes held from the operating system for blocks, used or cached; `nil` where unknown.
  var committedBytes: Int? { get }
  /// The hard limit on `committedBytes`; `nil` where there is none to be set.
  var limit: Int? { get }
  func setLimit(_ bytes: Int)

  /// What is wrong with the allocator's own structures, or `nil`.
  func validate() -> String?
  func traffic() -> AllocatorTraffic?

  /// Its memory and caches at this moment, while others work; `nil` where unknown.
  func levels() -> AllocatorLevels?

  /// Creates a heap beside this one, uses it from several threads, and destroys it.
  func exerciseScratchHeap(seed: UInt64) -> ScratchResult
  /// Whether there can be more heaps than one.
  var makesScratchHeaps: Bool { get }
}

/// A block after a change of size, and the size that it goes by from then on: the one asked for, or more, where a block
/// that was to shrink was kept.
struct ResizedBlock {
  var address: UnsafeMutableRawPointer
  var size: Int
}

/// What became of a heap that was made for a moment.
struct ScratchResult: Sendable {
  /// What went wrong.
  var failure: String?
  /// Blocks that were allocated, checked and given back.
  var blocks = 0
  /// Heaps that could not be made because the address space is limited.
  var refused = 0

  mutating func add(_ other: Self) {
    failure = failure ?? other.failure
    blocks += other.blocks
    refused += other.refused
  }
}

/// How much there is of what, at one moment.
struct AllocatorLevels: Equatable, Sendable {
  /// Bytes.
  var live = 0
  var committed = 0
  /// Free aligned runs of 2^order pages.
  var freePagesByOrder: [Int] = []
  /// By CPU: operations that its cache has not served. Empty where caches are not those of CPUs.
  var missesByCPU: [Int] = []
}

/// Counts that only the allocator knows. Differences of two of them describe a run.
struct AllocatorTraffic: Codable, Equatable, Sendable {
  /// The binding mode in force.
  var mode = ""
  var nodes = 1
  /// Visits to the depot by magazines that were empty or full, and objects that crossed.
  var depotTakes = 0
  var depotPuts = 0
  /// Objects taken out of and put back into slabs.
  var slabTakes = 0
  var slabPuts = 0
  var slabsCreated = 0
  var slabsReleased = 0
  /// Operations that the magazines could not serve: visits to the depot, and operations that touched no cache.
  var magazineMisses = 0
  /// Frees of another node's objects.
  var remoteFrees = 0
  /// Restartable sections that the kernel aborted.
  var aborts = 0

  /// Of two heaps that are used together.
  static func + (one: Self, other: Self) -> Self {
    Self(
      mode: "\(one.mode)+\(other.mode)", nodes: one.nodes, depotTakes: one.depotTakes + other.depotTakes,
      depotPuts: one.depotPuts + other.depotPuts, slabTakes: one.slabTakes + other.slabTakes,
      slabPuts: one.slabPuts + other.slabPuts, slabsCreated: one.slabsCreated + other.slabsCreated,
      slabsReleased: one.slabsReleased + other.slabsReleased,
      magazineMisses: one.magazineMisses + other.magazineMisses, remoteFrees: one.remoteFrees + other.remoteFrees,
      aborts: one.aborts + other.aborts)
  }

  static func - (late: Self, early: Self) -> Self {
    Self(
      mode: late.mode, nodes: late.nodes, depotTakes: late.depotTakes - early.depotTakes,
      depotPuts: late.depotPuts - early.depotPuts, slabTakes: late.slabTakes - early.slabTakes,
      slabPuts: late.slabPuts - early.slabPuts, slabsCreated: late.slabsCreated - early.slabsCreated,
      slabsReleased: late.slabsReleased - early.slabsReleased,
      magazineMisses: late.magazineMisses - early.magazineMisses, remoteFrees: late.remoteFrees - early.remoteFrees,
      aborts: late.aborts - early.aborts)
  }
}

extension AllocatorUnderTest {
  @inline(__always)
  func place(at step: Int, size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    allocate(size: size, alignment: alignment, zeroed: zeroed)
  }
  @inline(__always)
  func move(_ block: UnsafeMutableRawPointer, at step: Int, size: Int, alignment: Int, newSize: Int) -> ResizedBlock? {
    reallocate(block, size: size, alignment: alignment, newSize: newSize)
  }
  var pageOrders: ClosedRange<Int> { 0...10 }
  var shrinkingNeverFails: Bool { false }
  func usableSize(of block: UnsafeMutableRawPointer) -> Int? { nil }
  func trim() -> Int { 0 }
  var committedBytes: Int? { nil }
  var limit: Int? { nil }
  func setLimit(_ bytes: Int) {}
  func validate() -> String? { nil }
  func traffic() -> AllocatorTraffic? { nil }
  func levels() -> AllocatorLevels? { nil }
  func exerciseScratchHeap(seed: UInt64) -> ScratchResult { ScratchResult() }
  var makesScratchHeaps: Bool { false }
}
