import KAlloc

/// Memory that has run out from the start: every request of some size fails, and a free is a failed test.
public struct FailingAllocator: GlobalAllocator {
  public init() {}

  public static var minAlignment: Int { 16 }

  public static func usableSize(for layout: Layout) -> Int { layout.size }

  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard layout.size > 0 else { return layout.emptyBlock }
    throw .outOfMemory
  }

  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    precondition(layout.size == 0, "FailingAllocator: it has never given out a block")
  }
}
