// Nodes: which CPU belongs to which, and how far they are apart. Read from the system, or simulated, so that every
// policy can be tested on a machine with one node.

/// A machine's NUMA nodes and the distances between them.
///
/// Thread-safety: Concurrent; a value.
public struct Topology: Equatable, Sendable {
  /// Nodes: 1 ... `maximumNodes`.
  public let nodeCount: Int
  /// Whether the nodes exist in the machine, so that memory can be bound to them.
  public let isReal: Bool

  /// The most nodes that a heap serves.
  public static let maximumNodes = 64

  /// All CPUs and all memory on one node.
  public static var single: Topology { Topology(nodeCount: 1, isReal: false) }

  private init(nodeCount: Int, isReal: Bool) {
    self.nodeCount = nodeCount
    self.isReal = isReal
  }

  /// Simulated nodes on a ring: CPU n is on node n modulo `nodes`, and each step on the ring adds 10 to the distance.
  ///
  /// - Throws: `.nodeUnavailable` where `nodes` is not in 1 ... `maximumNodes`.
  public static func simulated(nodes: Int) throws(AllocError) -> Topology {
    guard (1...maximumNodes).contains(nodes) else { throw .nodeUnavailable }
    return Topology(nodeCount: nodes, isReal: false)
  }

  /// The node that a CPU is on.
  public func node(ofCPU cpu: Int) -> NodeIndex {
    #if NUMA && os(Linux)
      if isReal { return SystemTopology.node(ofCPU: cpu) }
    #endif
    return NodeIndex(cpu % nodeCount)
  }

  /// How far memory on `right` is from a CPU on `left`, in the unit of the ACPI tables: 10 is local.
  public func distance(_ left: NodeIndex, _ right: NodeIndex) -> Int {
    #if NUMA && os(Linux)
      if isReal { return SystemTopology.distance(left, right) }
    #endif
    let steps = abs(left.rawValue - right.rawValue)
    return 10 + 10 * min(steps, nodeCount - steps)
  }

  /// The machine's own, read from libnuma; a single node where the trait `NUMA` is off or the machine has but one.
  public static var system: Topology {
    #if NUMA && os(Linux)
      let nodes = min(SystemTopology.nodeCount, maximumNodes)
      if nodes > 1 { return Topology(nodeCount: nodes, isReal: true) }
    #endif
    return .single
  }
}
