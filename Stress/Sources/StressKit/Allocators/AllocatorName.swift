import Glibc
import Slab

/// What is to be done with an allocator: a generic function as a value, so that it is specialised for each of them and
/// the calls measured are the direct, inlined ones.
protocol AllocatorUse {
  associatedtype Result
  func callAsFunction(_ allocator: some AllocatorUnderTest) throws -> Result
}

/// The allocators that a command line can name.
enum AllocatorName: String, CaseIterable, Sendable {
  case kalloc, mixed, system

  /// What is used where none is named.
  static var fallback: Self { .kalloc }
  static var listed: String { list(allCases) }
  /// Those that a replay compares.
  static let replayed: [Self] = [.kalloc, .system]
  static func list(_ names: [Self]) -> String { names.map(\.rawValue).joined(separator: " or ") }

  var summary: String {
    switch self {
    case .kalloc: "KAlloc's heap: the global one, or one of its own where --nodes says so"
    case .mixed: "three heaps of KAlloc, one in each binding mode, which every thread uses in turn"
    case .system: "the C library's malloc"
    }
  }

  /// Makes the allocator that the options describe and hands it over.
  func open<Use: AllocatorUse>(_ options: RunOptions, for use: Use) throws -> Use.Result {
    switch self {
    case .system:
      return try use.callAsFunction(SystemLibraryAllocator())
    case .mixed:
      return try use.callAsFunction(try MixedHeaps(nodes: options.nodes ?? 1, mixesForms: options.mixesForms))
    case .kalloc:
      // Before the first use of any heap, and for those that KAlloc makes by itself.
      if let mode = options.mode { setenv("KALLOC_MODE", mode, 1) }
      let heap = try Self.makeHeap(options)
      if let limit = options.limit { heap.limit = limit }
      if let mode = options.mode, heap.mode.map({ "\($0)" }) != mode {
        throw Exit(status: 69, message: "mode \(mode) is not to be had here")
      }
      return try use.callAsFunction(
        HeapAllocator(heap: heap, mixesForms: options.mixesForms, mixesModes: options.mode == nil))
    }
  }

  private static func makeHeap(_ options: RunOptions) throws -> Heap {
    guard let nodes = options.nodes else { return .global }
    var configuration = HeapConfiguration()
    do {
      configuration.topology = try .simulated(nodes: nodes)
      return try Heap.create(configuration)
    } catch {
      throw Exit(status: 69, message: "a heap of \(nodes) nodes is not to be had here: \(error)")
    }
  }
}
