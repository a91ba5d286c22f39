import CProof
@_spi(Proof) import Slab

/// What an operation works on. A plain value behind a pointer, so that the operation is little but the allocator's code.
struct Operand {
  let heap: Heap
  /// What a subject that waits holds during each operation; `nil`: nothing is waited for.
  var lock: UnsafeMutablePointer<UInt32>? = nil
  /// Where a subject that is not re-entrant keeps a block for the next allocation; `nil`: nothing is kept.
  var aside: UnsafeMutablePointer<UnsafeMutableRawPointer?>? = nil
  /// The same, for handlers alone.
  var handlersAside: UnsafeMutablePointer<UnsafeMutableRawPointer?>? = nil
  var size: Int
  var order = 0
  var block: UnsafeMutableRawPointer? = nil

  /// Runs one operation of the subject.
  @inline(__always)
  func guarded<Result>(_ operation: () -> Result) -> Result {
    if let lock { cp_spin_lock(lock) }
    let result = operation()
    if let lock { cp_spin_unlock(lock) }
    return result
  }

  @inline(__always)
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    if let aside, bytes == size, let kept = aside.pointee {
      aside.pointee = nil
      return kept
    }
    return guarded { heap.allocate(size: bytes) }
  }

  @inline(__always)
  func deallocate(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
    if let aside, bytes == size, aside.pointee == nil {
      aside.pointee = block
    } else {
      guarded { heap.deallocate(block, size: bytes) }
    }
  }

  /// Frees what is kept aside, and keeps nothing from then on.
  mutating func keepNothing() {
    for aside in [aside, handlersAside] {
      if let aside, let kept = aside.pointee { heap.deallocate(kept, size: size) }
    }
    (aside, handlersAside) = (nil, nil)
  }

  @inline(__always)
  static func at(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<Operand> {
    context.unsafelyUnwrapped.assumingMemoryBound(to: Operand.self)
  }
}

/// What is broken on purpose about a subject.
enum Breakage {
  case nothing
  /// It holds a lock during each operation.
  case waits
  /// It keeps a block aside for the next allocation, and takes it with a load and a store.
  case keepsAside
  /// The same, but only handlers do: they are the operation's no danger, but each other's.
  case handlersKeepAside
}

/// Brings a heap into the state in which an operation takes a certain path, with operations of the heap.
final class Preparation {
  let operand: UnsafeMutablePointer<Operand>
  /// Blocks of `size` that are out.
  private(set) var held: [UnsafeMutableRawPointer] = []

  var heap: Heap { operand.pointee.heap }
  var size: Int { operand.pointee.size }
  /// What a stack of such blocks holds.
  let bounds: StackBounds

  init(_ path: Path, mode: BindingMode, broken: Breakage = .nothing) throws {
    bounds = path.bounds
    var configuration = HeapConfiguration()
    configuration.mode = mode
    configuration.windowBytes = path.windowBytes
    if path.nodes > 1 { configuration.topology = try .simulated(nodes: path.nodes) }
    operand = .allocate(capacity: 1)
    operand.initialize(to: Operand(heap: try Heap.create(configuration), size: path.size))
    switch broken {
    case .nothing: break
    case .waits:
      let lock = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
      lock.initialize(to: 0)
      operand.pointee.lock = lock
    case .keepsAside, .handlersKeepAside:
      let aside = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
      aside.initialize(to: heap.allocate(size: path.size))
      if broken == .keepsAside { operand.pointee.aside = aside } else { operand.pointee.handlersAside = aside }
    }
    // Another class first: the heap has slabs, and blocks that are in use.
    if let other = heap.allocate(size: 48) { operand.pointee.block = other }
    heap.drain()
    try allocate(1)
  }

  /// Small, so that what is left of it can be counted by taking all.
  static let windowBytes = 48 << 20

  func allocate(_ count: Int) throws {
    for _ in 0..<count {
      guard let block = heap.allocate(size: size) else { throw Exit.failed("no memory for a preparation") }
      held.append(block)
    }
  }

  func free(_ count: Int) {
    for _ in 0..<count { if let block = held.popLast() { heap.deallocate(block, size: size) } }
  }

  /// Large blocks, one of each of so many pages, that were freed and stay on the CPU's stacks.
  func leaveOnStacks(pages: ClosedRange<Int>) {
    let blocks = pages.compactMap { count in heap.allocate(size: count << 12).map { ($0, count << 12) } }
    for (block, bytes) in blocks { heap.deallocate(block, size: bytes) }
  }

  /// The operation frees one of those held.
  func operateOnHeld() { operand.pointee.block = held.popLast() }

  /// Allocates until `reached`, a count of the heap's books, has changed.
  func allocate(until reached: (HeapStatistics) -> Int) throws {
    let before = reached(heap.statistics())
    for _ in 0..<20_000 where reached(heap.statistics()) == before { try allocate(1) }
  }

  /// Frees until the stack has been flushed once more and then is full again, or a magazine's worth is left and then one: in
  /// `shared` mode nothing is flushed.
  func fillStack() {
    let before = heap.statistics().flushes
    while held.count > bounds.batch && heap.statistics().flushes == before { free(1) }
    free(bounds.batch - 1)
  }

  /// Allocates until no cache holds anything.
  func emptyCaches() throws {
    for _ in 0..<20_000 where heap.statistics().cachedObjects > 0 { try allocate(1) }
  }
}
