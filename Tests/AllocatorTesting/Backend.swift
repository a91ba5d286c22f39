import KAlloc
import Slab

/// The allocators that have to pass the same tests.
public enum Backend: String, CaseIterable, Sendable {
  case kmalloc, heap, system, minimal, trackedSystem, trackedKmalloc

  public var allocator: any Allocator {
    switch self {
    case .kmalloc: Kmalloc()
    case .heap: Backend.twoNodes
    case .system: SystemAllocator()
    case .minimal: MinimalAllocator()
    case .trackedSystem: TrackingAllocator(SystemAllocator())
    case .trackedKmalloc: TrackingAllocator(Kmalloc())
    }
  }

  /// A heap apart from the global one, with two simulated nodes.
  private static let twoNodes: Heap = {
    var configuration = HeapConfiguration()
    configuration.topology = try! .simulated(nodes: 2)
    return try! Heap.create(configuration)
  }()
}
