/// The index of a NUMA node in a heap's topology: 0 ..< node count. One word wide.
public struct NodeIndex: Hashable, Comparable, Sendable {
  public let rawValue: Int

  @inlinable @inline(__always)
  public init(_ rawValue: Int) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  public static func < (left: NodeIndex, right: NodeIndex) -> Bool { left.rawValue < right.rawValue }
}
