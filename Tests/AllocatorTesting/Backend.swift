import KAlloc

/// The allocators that have to pass the same tests.
public enum Backend: String, CaseIterable, Sendable {
  case system, minimal, trackedSystem

  public var allocator: any Allocator {
    switch self {
    case .system: SystemAllocator()
    case .minimal: MinimalAllocator()
    case .trackedSystem: TrackingAllocator(SystemAllocator())
    }
  }
}
