import Foundation
@_spi(Proof) import Slab

/// Paths that go deep: what happens in passing, one thing below the other, and a flush to another node. They take time to prepare,
/// so they are measured and not stopped at each of their instructions.
extension Path {
  static var deep: [Path] {
    [
      Path(
        name: "free: purges in passing, drains idle CPUs", windowBytes: 256 << 20,
        prepare: { preparation in
          try scatter(preparation)
          preparation.operand.pointee.size = 3 << 20
          preparation.operand.pointee.block = preparation.heap.allocate(size: 3 << 20)
          wait(preparation)
        }, operate: free),
      Path(
        name: "free: flushes, the depot is full, purges in passing", windowBytes: 256 << 20,
        raises: flushesToSlabs,
        prepare: { preparation in
          try scatter(preparation)
          try fullDepot(preparation)
          wait(preparation)
        }, operate: free),
      Path(
        name: "allocate: cuts a slab, large blocks go back", windowBytes: 256 << 20,
        raises: [{ $0.slabsMade }, { -$0.cachedPageBytes }],
        prepare: { preparation in
          try scatter(preparation)
          preparation.leaveOnStacks(pages: 9...24)
          wait(preparation)
          // What the wait left, or the slab would be cut of it.
          _ = preparation.heap.allocate(size: 3 << 20)
          preparation.operand.pointee.size = 3000
        }, operate: allocate),
      Path(
        name: "free: of two nodes, flushes", nodes: 2, raises: [{ $0.depotPuts }],
        prepare: { preparation in
          // One more of the other node's than an outgoing stack holds.
          var blocks: [UnsafeMutableRawPointer] = []
          for _ in 0...StackBounds.outgoing(nodes: preparation.heap.topology.nodeCount) {
            let block = try preparation.heap.allocate(
              size: preparation.size, alignment: 16, flags: [.kernel, .thisNode], node: NodeIndex(1))
            blocks.append(block.baseAddress!)
          }
          for block in blocks.dropLast() { preparation.heap.deallocate(block, size: preparation.size) }
          preparation.operand.pointee.block = blocks.last
        }, operate: free),
      Path(
        name: "allocate: cuts slabs until slabs are purged", windowBytes: 256 << 20,
        prepare: { preparation in
          var objects: [UnsafeMutableRawPointer] = []
          for _ in 0..<64 << 10 { if let object = preparation.heap.allocate(size: 1024) { objects.append(object) } }
          for (index, object) in objects.enumerated() where index % 32 != 0 {
            preparation.heap.deallocate(object, size: 1024)
          }
          preparation.heap.drain()
          // What is cut from here on is counted.
          _ = preparation.heap.allocate(size: 40 << 20)
          wait(preparation)
        }
      ) { context in
        let operand = Operand.at(context)
        for _ in 0..<10_000 { _ = operand.pointee.heap.allocate(size: 3000) }
      },
    ]
  }

  /// Many free pages beside pages that are in use: each of the runs between them is one that a purge gives back.
  private static func scatter(_ preparation: Preparation) throws {
    var pages: [UnsafeMutableRawPointer] = []
    for _ in 0..<12_000 { pages.append(try preparation.heap.allocatePages(order: 0)) }
    for (index, page) in pages.enumerated() where index % 2 == 0 {
      page.storeBytes(of: 1, as: UInt8.self)
      preparation.heap.deallocatePages(page, order: 0)
    }
    preparation.heap.drain()
  }

  /// Until everything that happens now and then is due: a free sees what is free since when, one after a second would act.
  private static func wait(_ preparation: Preparation) {
    usleep(50_000)
    if let block = preparation.heap.allocate(size: 3 << 20) { preparation.heap.deallocate(block, size: 3 << 20) }
    usleep(1_100_000)
  }
}
