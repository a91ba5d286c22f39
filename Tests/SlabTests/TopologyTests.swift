import TestSupport
import Testing

@testable import Slab

/// F57, first half: nodes and distances.
@Suite struct `Topologies` {
  @Test func `a simulated ring gives CPUs to nodes in turn`() throws {
    for nodes in [1, 2, 3, 8, 64] {
      let topology = try Topology.simulated(nodes: nodes)
      #expect(topology.nodeCount == nodes)
      #expect(!topology.isReal)
      for cpu in 0..<200 { #expect(topology.node(ofCPU: cpu) == NodeIndex(cpu % nodes)) }
    }
  }

  @Test func `distances are symmetric, 10 to oneself, and steps on the ring otherwise`() throws {
    for nodes in [1, 2, 3, 8] {
      let topology = try Topology.simulated(nodes: nodes)
      for left in 0..<nodes {
        for right in 0..<nodes {
          let distance = topology.distance(NodeIndex(left), NodeIndex(right))
          #expect(distance == topology.distance(NodeIndex(right), NodeIndex(left)))
          #expect((distance == 10) == (left == right))
        }
      }
    }
    let eight = try Topology.simulated(nodes: 8)
    #expect((0..<8).map { eight.distance(NodeIndex(1), NodeIndex($0)) } == [20, 10, 20, 30, 40, 50, 40, 30])
  }

  @Test func `a number of nodes out of range is refused`() {
    for nodes in [Int.min, -1, 0, 65, .max] {
      #expect(throws: AllocError.nodeUnavailable) { try Topology.simulated(nodes: nodes) }
    }
  }

  @Test func `the system's topology has nodes for all of its CPUs`() {
    let topology = Topology.system
    #expect((1...Topology.maximumNodes).contains(topology.nodeCount))
    for cpu in 0..<1024 { #expect((0..<topology.nodeCount).contains(topology.node(ofCPU: cpu).rawValue)) }
  }

  @Test(arguments: [1, 2, 3, 8, 64])
  func `a heap orders the nodes by distance, equally near ones by number`(nodes: Int) throws {
    let topology = try Topology.simulated(nodes: nodes)
    try withHeap(nodes: nodes, windowBytes: 16 << 20) { heap in
      let state = try heap.state().get()
      for from in 0..<nodes {
        let order = (0..<nodes).map { state.node($0, from: NodeIndex(from)).rawValue }
        let expected = (0..<nodes).sorted {
          (topology.distance(NodeIndex(from), NodeIndex($0)), $0)
            < (topology.distance(NodeIndex(from), NodeIndex($1)), $1)
        }
        #expect(order == expected)
      }
      for cpu in 0..<64 {
        // CPUs that the machine does not have count as its last.
        let last = max(state.record.pointee.cpuCount - 1, 0)
        #expect(state.node(ofCPU: cpu) == topology.node(ofCPU: min(cpu, last)))
      }
    }
  }
}
