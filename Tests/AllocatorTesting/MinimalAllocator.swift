import KAlloc

/// The least that an allocator is: no reallocation of its own, exact sizes. Shows what the protocol's defaults do.
public struct MinimalAllocator: GlobalAllocator {
  public init() {}

  public static var minAlignment: Int { 1 }

  public static func usableSize(for layout: Layout) -> Int {
    layout.size <= SystemAllocator.largestSize && layout.alignment <= SystemAllocator.largestAlignment
      ? layout.size : .max
  }

  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    let block = try SystemAllocator().allocate(layout, flags: flags, node: node)
    return UnsafeMutableRawBufferPointer(rebasing: block[..<layout.size])
  }

  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    SystemAllocator().deallocate(block, layout)
  }
}
