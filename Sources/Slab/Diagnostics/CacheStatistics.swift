// What each cache of a heap has done: those of CPUs, or in thread mode those of the slots that threads take.

/// One cache since its heap began. Relaxed counts of the slow path: the hit paths count nothing.
public struct CacheStatistics: Sendable, Equatable {
  /// Visits of allocations to the depot, and of frees.
  public var refills = 0
  public var flushes = 0
  /// Operations that touched no cache.
  public var shared = 0
  /// Sections that were aborted.
  public var aborts = 0

  public init() {}

  /// Operations that the cache could not serve.
  public var misses: Int { refills + flushes + shared }
}

extension Heap {
  /// The caches that this heap has used so far, by CPU or by slot; 0 where it was never used.
  ///
  /// Thread-safety: Concurrent.
  public var cacheCount: Int { existingState?.regionsUsed ?? 0 }

  /// What the cache of CPU (or slot) `index` has done; zeros where there is none. O(1).
  ///
  /// Thread-safety: Concurrent.
  public func cacheStatistics(_ index: Int) -> CacheStatistics {
    var result = CacheStatistics()
    guard let state = existingState, index >= 0, index < state.regionsUsed else { return result }
    let region = state.region(index)
    func read(_ counter: CPURegion.Counter) -> Int { Int(truncatingIfNeeded: region.counter(counter).loadRelaxed()) }
    result.refills = read(.refills)
    result.flushes = read(.flushes)
    result.shared = read(.shared)
    result.aborts = read(.aborts)
    return result
  }
}
