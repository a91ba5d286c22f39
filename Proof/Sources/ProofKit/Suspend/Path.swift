import CProof
@_spi(Proof) import Slab

/// A way through the allocator: the state to begin from, and the operation that then takes it.
///
/// The states are those of `rseq` and `thread` mode, where there are stacks; in `shared` mode the same operations go to the slabs.
struct Path {
  let name: String
  /// Bytes of an object; its magazines hold `magazine`.
  var size = 512
  var nodes = 1
  var windowBytes = Preparation.windowBytes
  /// Pages and runs: bytes that the operation asks for at once.
  var bytes = 0
  /// Whether the operation empties caches: what it has in its hands shows twice in the statistics.
  var drains = false
  /// Whether the operation gets a block, which is then nobody else's.
  var allocates = false
  /// Counts of the heap's books that the operation raises where there are stacks: what the path is named for.
  var raises: [(HeapStatistics) -> Int] = []
  let prepare: (Preparation) throws -> Void
  let operate: @convention(c) (UnsafeMutableRawPointer?) -> Void

  var bounds: StackBounds { StackBounds(objectsOf: size) }
  /// Objects that move at once.
  var magazine: Int { bounds.batch }
  static let pageBounds = StackBounds(pagesOf: 0)

  // MARK: Operations

  static let allocate: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    operand.pointee.block = operand.pointee.allocate(operand.pointee.size)
  }

  static let free: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    guard let block = operand.pointee.block else { return }
    operand.pointee.guarded { operand.pointee.heap.deallocate(block, size: operand.pointee.size) }
  }

  private static let freeUnsized: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    guard let block = operand.pointee.block else { return }
    operand.pointee.guarded { operand.pointee.heap.deallocate(block) }
  }

  private static let allocatePages: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    operand.pointee.block = operand.pointee.guarded {
      try? operand.pointee.heap.allocatePages(order: operand.pointee.order)
    }
  }

  private static let freePages: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    guard let block = operand.pointee.block else { return }
    operand.pointee.guarded { operand.pointee.heap.deallocatePages(block, order: operand.pointee.order) }
  }

  private static let drain: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    operand.pointee.guarded { operand.pointee.heap.drain() }
  }

  private static let trim: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    operand.pointee.guarded { _ = operand.pointee.heap.trim() }
  }

  private static let purge: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    operand.pointee.guarded { _ = operand.pointee.heap.purge(upTo: 64 << 20, olderThan: 0) }
  }

  private static let resize: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    let operand = Operand.at(context)
    guard let block = operand.pointee.block else { return }
    _ = operand.pointee.guarded {
      try? operand.pointee.heap.reallocateUnsized(block, newSize: operand.pointee.size * 2)
    }
  }

  /// Broken on purpose: takes more than a magazine's worth into its hands before it gives it back.
  static var hoarding: Path {
    Path(name: "hoards", prepare: { try $0.allocate(20) }) { context in
      let operand = Operand.at(context)
      withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 80) { blocks in
        for index in 0..<80 { blocks.initializeElement(at: index, to: operand.pointee.heap.allocate(size: 512)) }
        for index in 0..<80 { if let block = blocks[index] { operand.pointee.heap.deallocate(block, size: 512) } }
      }
    }
  }

  // MARK: All of them

  static var all: [Path] { objects + frees + pages + large + caches }

  /// Those of `all` whose name contains `part`, which is wrong where none does.
  static func named(_ part: String, in all: [Path]) throws -> [Path] {
    let found = all.filter { part.isEmpty || $0.name.contains(part) }
    if !found.isEmpty { return found }
    throw Exit.badArgument("no path's name contains '\(part)': \(all.map(\.name).joined(separator: "; "))")
  }

  static var fromTheStack: Path {
    Path(
      name: "allocate: from the stack", allocates: true,
      prepare: {
        try $0.allocate(20); $0.free(10)
      }, operate: allocate)
  }

  /// Two slabs until the stack has grown; the third tells how many objects later a fourth is made.
  private static func beforeASlab(_ preparation: Preparation) throws {
    for _ in 0..<3 { try preparation.allocate { $0.slabsMade } }
    let count = preparation.held.count
    try preparation.allocate { $0.slabsMade }
    try preparation.allocate(preparation.held.count - count - 1)
  }

  private static var objects: [Path] {
    [
      fromTheStack,
      Path(
        name: "allocate: opens the stack", allocates: true, prepare: { $0.heap.drain() }, operate: allocate),
      Path(
        name: "allocate: refills from the depot", allocates: true, raises: [{ $0.depotTakes }],
        prepare: {
          try $0.allocate($0.bounds.capacity + 4 * $0.bounds.batch)
          $0.free($0.bounds.capacity + 3 * $0.bounds.batch)
          try $0.allocate { $0.refills }
          try $0.allocate($0.bounds.batch - 1)
        }, operate: allocate),
      Path(
        name: "allocate: refills from slabs", allocates: true, raises: [{ $0.refills }, { $0.slabRefills }],
        prepare: {
          try $0.allocate(400)
          $0.free(300)
          $0.heap.drain()
          try $0.allocate(1)
          try $0.emptyCaches()
        }, operate: allocate),
      Path(
        name: "allocate: makes a slab", allocates: true, raises: [{ $0.slabsMade }], prepare: beforeASlab,
        operate: allocate),
      Path(
        name: "allocate: makes a slab, empties caches", bytes: 2 << 20, drains: true, allocates: true,
        raises: [{ $0.slabsMade }],
        prepare: {
          if let other = $0.heap.allocate(size: 2000) { $0.heap.deallocate(other, size: 2000) }
          try beforeASlab($0)
          // More than the heap may grow by before its caches are emptied.
          _ = $0.heap.allocate(size: 17 << 20)
        }, operate: allocate),
    ]
  }

  /// A stack and a depot that hold no more, and an object to free.
  static func fullDepot(_ preparation: Preparation) throws {
    let bounds = preparation.bounds
    let all = bounds.capacity + bounds.batch * StackBounds.depotSlots
    try preparation.allocate(all + 3 * bounds.batch)
    preparation.free(all)
    preparation.fillStack()
    preparation.operateOnHeld()
  }

  /// What shows that a magazine went to the slabs to make room.
  static var flushesToSlabs: [(HeapStatistics) -> Int] {
    [{ $0.flushes }, { $0.depotPuts }, { $0.slabObjectsGiven }]
  }

  private static var frees: [Path] {
    let full: (Preparation) throws -> Void = {
      try $0.allocate($0.bounds.capacity + 2 * $0.bounds.batch)
      $0.fillStack()
      $0.operateOnHeld()
    }
    return [
      Path(
        name: "free: onto the stack",
        prepare: {
          try $0.allocate(20); $0.free(5); $0.operateOnHeld()
        }, operate: free),
      Path(
        name: "free: opens the stack",
        prepare: {
          try $0.allocate(20); $0.heap.drain(); $0.operateOnHeld()
        },
        operate: free),
      Path(
        name: "free: the stack grows",
        prepare: {
          try $0.allocate(60); $0.heap.drain(); $0.free(16); $0.operateOnHeld()
        }, operate: free),
      Path(
        name: "free: flushes to the depot", raises: [{ $0.flushes }, { $0.depotPuts }, { $0.cachedObjects }],
        prepare: full, operate: free),
      Path(
        name: "free: flushes, the depot is full", raises: flushesToSlabs, prepare: fullDepot, operate: free),
      Path(
        name: "free without a size: onto the stack",
        prepare: {
          try $0.allocate(20); $0.free(5); $0.operateOnHeld()
        },
        operate: freeUnsized),
      Path(
        name: "free without a size: flushes", raises: flushesToSlabs, prepare: fullDepot, operate: freeUnsized),
      Path(
        name: "free: of two nodes", nodes: 2,
        prepare: {
          try $0.allocate(120); $0.free(60); $0.operateOnHeld()
        },
        operate: free),
    ]
  }

  private static var pages: [Path] {
    func take(_ order: Int, _ name: String) -> Path {
      Path(
        name: name, bytes: 4096 << order, allocates: true, prepare: { $0.operand.pointee.order = order },
        operate: allocatePages)
    }
    func give(_ order: Int, _ name: String) -> Path {
      Path(
        name: name, bytes: 4096 << order,
        prepare: {
          $0.operand.pointee.order = order
          $0.operand.pointee.block = try $0.heap.allocatePages(order: order)
        }, operate: freePages)
    }
    return [
      take(0, "pages: refills with a row"), take(5, "pages: order 5"), give(5, "pages: order 5, free"),
      take(8, "pages: order 8, rows of a block"), give(8, "pages: order 8, free"), take(10, "pages: order 10, grows"),
      give(10, "pages: order 10, free"),
      Path(
        name: "pages: flushes to the depot", bytes: 4096, raises: [{ $0.flushes }, { $0.depotPuts }],
        prepare: { preparation in
          let batch = pageBounds.batch
          var blocks: [UnsafeMutableRawPointer] = []
          for _ in 0..<pageBounds.capacity + 2 * batch {
            blocks.append(try preparation.heap.allocatePages(order: 0))
          }
          let before = preparation.heap.statistics().flushes
          while blocks.count > batch && preparation.heap.statistics().flushes == before {
            preparation.heap.deallocatePages(blocks.removeLast(), order: 0)
          }
          for _ in 1..<batch { preparation.heap.deallocatePages(blocks.removeLast(), order: 0) }
          preparation.operand.pointee.block = blocks.removeLast()
        }, operate: freePages),
    ]
  }

  private static var large: [Path] {
    func take(_ bytes: Int, _ name: String) -> Path {
      Path(name: name, bytes: bytes, allocates: true, prepare: { $0.operand.pointee.size = bytes }, operate: allocate)
    }
    func give(_ bytes: Int, _ name: String) -> Path {
      Path(
        name: name, bytes: bytes,
        prepare: {
          $0.operand.pointee.size = bytes
          $0.operand.pointee.block = $0.heap.allocate(size: bytes)
        }, operate: free)
    }
    return [
      take(100 << 10, "large: 100 KiB"), give(100 << 10, "large: 100 KiB, free"), take(3 << 20, "large: 3 MiB, grows"),
      give(3 << 20, "large: 3 MiB, free"), take(1280 << 20, "large: a mapping"),
      give(1280 << 20, "large: a mapping, free"),
      Path(
        name: "large: resizes in place", bytes: 100 << 10,
        prepare: {
          $0.operand.pointee.size = 100 << 10
          $0.operand.pointee.block = $0.heap.allocate(size: 100 << 10)
        }, operate: resize),
      Path(
        name: "large: 240 KiB, others go back first", bytes: 240 << 10, allocates: true,
        raises: [{ -$0.cachedPageBytes }],
        prepare: {
          $0.operand.pointee.size = 240 << 10
          $0.leaveOnStacks(pages: 9...16)
        }, operate: allocate),
    ]
  }

  private static var caches: [Path] {
    let filled: (Preparation) throws -> Void = {
      // So much that the depot has some of it.
      try $0.allocate($0.bounds.capacity + 3 * $0.bounds.batch)
      $0.free($0.bounds.capacity + 2 * $0.bounds.batch)
    }
    return [
      Path(name: "drain", drains: true, prepare: filled, operate: drain),
      Path(
        name: "purge", bytes: 2 << 20,
        prepare: {
          for bytes in [3 << 20, 100 << 10] {
            if let block = $0.heap.allocate(size: bytes) { $0.heap.deallocate(block, size: bytes) }
          }
        }, operate: purge),
      Path(name: "trim", bytes: 2 << 20, drains: true, prepare: filled, operate: trim),
    ]
  }
}
