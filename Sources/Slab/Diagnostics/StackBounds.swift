/// What a CPU's stack and its depot hold. Not for programs: a proof that fills one on purpose asks here how much that takes.
@_spi(Proof) public struct StackBounds: Sendable {
  /// Pointers on a stack that has grown.
  public let capacity: Int
  /// Pointers in a magazine.
  public let batch: Int
  /// Magazines in a depot.
  public static var depotSlots: Int { StackInfo.depotSlots }
  /// Pointers of one kind on their way to another one of `nodes` nodes.
  public static func outgoing(nodes: Int) -> Int { HeapState.Outgoing(nodeCount: nodes).capacity }

  /// Those of the class that holds objects of `size` bytes.
  public init(objectsOf size: Int) { self.init(StackIndex(SizeClass(holding: size))) }

  /// Those of pages of `order`, below 4.
  public init(pagesOf order: Int) { self.init(StackIndex(pageOrder: order)) }

  private init(_ stack: StackIndex) {
    let info = StackInfo(stack, after: nil)
    capacity = info.capacity
    batch = info.batch
  }
}
