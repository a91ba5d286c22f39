#if NUMA && os(Linux)
  import KAllocAtomics

  /// The machine's nodes as libnuma reads them from the kernel, before the program begins.
  enum SystemTopology {
    /// Nodes up to the highest number; 1 where the kernel has no NUMA.
    static var nodeCount: Int { Int(ka_numa_nodes()) }

    static func node(ofCPU cpu: Int) -> NodeIndex {
      NodeIndex(Int(ka_numa_node_of_cpu(UInt32(truncatingIfNeeded: cpu))))
    }

    static func distance(_ left: NodeIndex, _ right: NodeIndex) -> Int {
      Int(ka_numa_distance(UInt32(truncatingIfNeeded: left.rawValue), UInt32(truncatingIfNeeded: right.rawValue)))
    }
  }
#endif
