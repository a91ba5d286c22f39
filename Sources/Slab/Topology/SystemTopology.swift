#if NUMA && os(Linux)
  import CNUMA

  /// The machine's nodes as libnuma reads them from the kernel.
  ///
  /// libnuma allocates with malloc, so these are called while a heap is made and at no other time.
  enum SystemTopology {
    /// Nodes up to the highest number; 1 where the kernel has no NUMA.
    static var nodeCount: Int { numa_available() < 0 ? 1 : Int(numa_max_node()) + 1 }

    static func node(ofCPU cpu: Int, nodeCount: Int) -> NodeIndex {
      NodeIndex(min(max(Int(numa_node_of_cpu(Int32(truncatingIfNeeded: cpu))), 0), nodeCount - 1))
    }

    static func distance(_ left: NodeIndex, _ right: NodeIndex) -> Int {
      // 0 where the kernel's table has no entry: as far as anything.
      let found = numa_distance(Int32(left.rawValue), Int32(right.rawValue))
      return found > 0 ? Int(found) : 255
    }
  }
#endif
