import CTestSupport
import TestSupport
import Testing

@testable import Slab

/// F15, F57, F70, F71, T56, on simulated nodes. CPU n is on node n modulo the number of nodes.
@Suite struct `Nodes` {
  private func bytes(_ size: Int) -> Int { SizeClass(holding: size).bytes }

  @Test(arguments: [2, 3, 8])
  func `an allocation comes from the node of its CPU`(nodes: Int) throws {
    try withHeap(nodes: nodes) { heap in
      for index in 0..<Int(ct_cpu_count()) {
        TestThread {
          let home = NodeIndex(Int(ct_pin(Int32(index))) % nodes)
          // In thread mode the cache was another thread's, perhaps on another node.
          heap.drain()
          for size in [64, 5000, 100_000] {
            let block = heap.allocate(size: size)!
            #expect(heap.node(of: block) == home)
            heap.deallocate(block, size: size)
          }
          let page = try! heap.allocatePages(order: 0)
          #expect(heap.node(of: page) == home)
          heap.deallocatePages(page, order: 0)
        }.join()
      }
    }
  }

  @Test(arguments: [2, 3, 8])
  func `a named node is served around the caches, every one of them`(nodes: Int) throws {
    try withHeap(nodes: nodes) { heap in
      let state = try heap.state().get()
      for node in 0..<nodes {
        for size in [16, 64, 4096, 30_000, 100_000] {
          let cached = heap.statistics().cachedObjects
          for flags in [AllocFlags.kernel, [.kernel, .thisNode]] {
            let block = try heap.allocate(size: size, alignment: 16, flags: flags, node: NodeIndex(node))
            #expect(heap.node(of: block.baseAddress!) == NodeIndex(node))
            #expect(heap.statistics().cachedObjects == cached, "nothing was taken from or put into a cache")
            let kept = try heap.reallocate(
              block.baseAddress!, size: size, alignment: 16, newSize: size, newAlignment: 16, flags: flags,
              node: NodeIndex(node))
            #expect(kept.baseAddress == block.baseAddress)
            heap.deallocate(kept.baseAddress!, size: size)
            heap.drain()
          }
        }
      }
      #expect(state.visits == 0)
    }
  }

  @Test(arguments: [2, 3, 8])
  func `a full node falls back to the nearest, and to none where it was named strictly`(nodes: Int) throws {
    let window = 16 << 20
    try withHeap(nodes: nodes, windowBytes: window) { heap in
      let topology = heap.topology
      let from = NodeIndex(1)
      let order = (0..<nodes).map { NodeIndex($0) }.sorted {
        (topology.distance(from, $0), $0) < (topology.distance(from, $1), $1)
      }
      var blocks: [UnsafeMutableRawPointer] = []
      // Whole nodes, nearest first.
      for node in order {
        let block = try heap.allocate(size: window, alignment: 16, flags: .kernel, node: from)
        #expect(heap.node(of: block.baseAddress!) == node)
        blocks.append(block.baseAddress!)
        #expect(throws: AllocError.nodeUnavailable) {
          try heap.allocate(size: 64, alignment: 16, flags: [.kernel, .thisNode], node: node)
        }
        guard node != order.last else { break }
        let small = try heap.allocate(size: 64, alignment: 16, flags: .kernel, node: from)
        #expect(heap.node(of: small.baseAddress!) == order[blocks.count])
        heap.deallocate(small.baseAddress!, size: 64)
        heap.drain()
      }
      #expect(throws: AllocError.outOfMemory) {
        try heap.allocate(size: 64, alignment: 16, flags: .kernel, node: from)
      }
      #expect(heap.allocate(size: 64) == nil)
      #expect(heap.validate() == nil)
      for block in blocks { heap.deallocate(block) }
    }
  }

  @Test(arguments: [2, 3, 8])
  func `an object freed on another node goes home in batches`(nodes: Int) throws {
    try withHeap(nodes: nodes) { heap in
      let state = try heap.state().get()
      guard state.caches else { return }
      let info = state.info(StackIndex(SizeClass(holding: 64)))
      onOneCPU {
        let here = state.localNode
        let away = NodeIndex((here.rawValue + 1) % nodes)
        let count = state.outgoing.capacity * 5 + 3
        let blocks = (0..<count).map { _ in
          try! heap.allocate(size: 64, alignment: 16, flags: [.kernel, .thisNode], node: away).baseAddress!
        }
        for block in blocks { heap.deallocate(block, size: 64) }
        let statistics = heap.statistics()
        #expect(statistics.remoteFrees == count)
        // What left the outgoing magazine lies in the depot of the node that the objects belong to.
        let inDepot = state.depot(info, on: away).pointers
        #expect(inDepot >= count - state.outgoing.capacity)
        #expect(state.depot(info, on: here).pointers == 0)
        #expect(statistics.cachedObjects == count)
        #expect(heap.validate() == nil)
        // The next one here is from here.
        let block = heap.allocate(size: 64)!
        #expect(heap.node(of: block) == here)
        heap.deallocate(block, size: 64)
      }
      heap.drain()
      #expect(heap.statistics().cachedObjects == 0)
    }
  }

  @Test(arguments: [2, 3, 8])
  func `caches hold objects of their own node only`(nodes: Int) throws {
    let seed = testSeed()
    try withHeap(nodes: nodes) { heap in
      let state = try heap.state().get()
      onThreads(3) { thread in
        var random = seed.random(thread)
        var blocks: [(UnsafeMutableRawPointer, Int)] = []
        for _ in 0..<6000 {
          if random.below(2) == 0 {
            let size = 1 + random.below(500)
            let node = random.below(3) == 0 ? NodeIndex(random.below(nodes)) : nil
            let block = try! heap.allocate(size: size, alignment: 16, flags: .kernel, node: node)
            if let node { #expect(heap.node(of: block.baseAddress!) == node, "\(seed)") }
            blocks.append((block.baseAddress!, size))
          } else if !blocks.isEmpty {
            let (block, size) = blocks.remove(at: random.below(blocks.count))
            heap.deallocate(block, size: size)
          }
        }
        for (block, size) in blocks { heap.deallocate(block, size: size) }
      }
      guard state.mode == .rseq else { return }
      for cpu in 0..<state.regionsUsed {
        for stack in 0..<SizeClass.count {
          let info = state.info(StackIndex(rawValue: stack))
          let region = state.region(cpu)
          let array = WordArray(region.base + info.arrayOffset)
          for position in 0..<region.fill(info) {
            let found = state.pages(containing: array[position].loadRelaxed())?.node
            #expect(found == state.node(ofCPU: cpu), "\(seed)")
          }
        }
      }
    }
  }

  @Test(arguments: [2, 8])
  func `a strict node that is not the block's makes a reallocation move, a preferred one does not`(nodes: Int) throws {
    try withHeap(nodes: nodes) { heap in
      for size in [100, 100_000] {
        let block = try heap.allocate(size: size, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(0))
        block[size - 1] = 3
        let preferred = try heap.reallocate(
          block.baseAddress!, size: size, alignment: 16, newSize: size, newAlignment: 16, flags: .kernel,
          node: NodeIndex(1))
        #expect(preferred.baseAddress == block.baseAddress)
        let strict = try heap.reallocate(
          block.baseAddress!, size: size, alignment: 16, newSize: size, newAlignment: 16, flags: [.kernel, .thisNode],
          node: NodeIndex(1))
        #expect(heap.node(of: strict.baseAddress!) == NodeIndex(1))
        #expect(strict[size - 1] == 3)
        heap.deallocate(strict.baseAddress!, size: size)
      }
    }
  }
}
