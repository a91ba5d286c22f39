import Slab

/// The NUMA node that a block should come from, or any.
///
/// With `AllocFlags.thisNode` the node is a demand: that node or `AllocError.nodeUnavailable`. Without it the node is
/// a preference, and the nearest one with memory serves.
///
/// Thread-safety: Concurrent; a value.
public struct NumaNode: Hashable, Sendable {
  /// The node's index, or -1 for ``any``.
  @usableFromInline let index: Int

  @inlinable @inline(__always)
  init(unchecked index: Int) { self.index = index }

  /// The node of this index in the machine, as the global heap knows it.
  ///
  /// - Throws: `AllocError.nodeUnavailable` for an index below 0 or not below ``count``.
  /// - Complexity: O(1); the first use makes the global heap.
  public init(_ index: Int) throws(AllocError) {
    guard index >= 0 && index < NumaNode.count else { throw .nodeUnavailable }
    self.init(unchecked: index)
  }

  /// The number of nodes of the machine, as the global heap knows them; at least 1.
  public static var count: Int { Heap.global.topology.nodeCount }

  /// The node of this index in the heap's own topology, unchecked: the allocator refuses one that it does not have.
  ///
  /// Use it with a heap that has a simulated topology of its own.
  @inlinable @inline(__always)
  public init(_ index: NodeIndex) { self.init(unchecked: index.rawValue) }

  /// No wish: the node of the CPU that asks.
  @inlinable @inline(__always)
  public static var any: NumaNode { NumaNode(unchecked: -1) }

  /// The node's index, or `nil` for ``any``.
  @inlinable @inline(__always)
  public var nodeIndex: NodeIndex? { self == .any ? nil : NodeIndex(index) }
}
