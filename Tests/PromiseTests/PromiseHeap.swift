import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// Uses everything once. In a debug build the first use of a generic function makes metadata under a lock of Swift's,
/// which neither a signal handler nor the others of a stopped thread may wait for; in a release build there is none.
func warmUp(_ heap: Heap) {
  let table = BlockTable(heap, capacity: 40, largest: 60_000, Random(seed: 1))
  for _ in 0..<400 { table.step() }
  _ = heap.validate(during: .any)
  heap.trim()
  for order in 0..<6 {
    if let pages = try? heap.allocatePages(order: order) { heap.deallocatePages(pages, order: order) }
  }
  for node in 0..<heap.topology.nodeCount {
    let blocks = (0..<100).compactMap {
      try? heap.allocate(size: $0 + 1, alignment: 16, flags: .kernel, node: NodeIndex(node)).baseAddress
    }
    for block in blocks { heap.deallocate(block) }
  }
  table.dispose()
  heap.drain()
}

/// A thread's blocks of one heap in memory that is not Swift's, so that a signal handler and a forked child may use it.
/// Each block is stamped at both ends; `faults` counts stamps that were not found again. Ends with `dispose`.
struct BlockTable: @unchecked Sendable {
  // Sendable: one thread and its handlers use a table, and never the same slot at once.
  private struct State {
    let heap: Heap
    let capacity: Int
    let largest: Int
    var random: Random
    /// {address, size} for each slot.
    let slots: UnsafeMutablePointer<(UInt64, Int)>
    var calls = 0
    var failures = 0
    var faults = 0
  }

  private let state: UnsafeMutablePointer<State>

  init(_ heap: Heap, capacity: Int, largest: Int, _ random: Random) {
    let slots = UnsafeMutablePointer<(UInt64, Int)>.allocate(capacity: capacity)
    slots.initialize(repeating: (0, 0), count: capacity)
    state = .allocate(capacity: 1)
    state.initialize(to: State(heap: heap, capacity: capacity, largest: largest, random: random, slots: slots))
  }

  /// The table as the context of a handler or a child, and back.
  var context: UnsafeMutableRawPointer { UnsafeMutableRawPointer(state) }

  init(at context: UnsafeMutableRawPointer?) { state = context!.assumingMemoryBound(to: State.self) }

  /// Frees all blocks and the table itself: only where no handler has it any more.
  func dispose() {
    empty()
    state.pointee.slots.deallocate()
    state.deallocate()
  }

  var calls: Int { state.pointee.calls }
  var failures: Int { state.pointee.failures }
  var faults: Int { state.pointee.faults }
  var heap: Heap { state.pointee.heap }

  private func word(_ block: UnsafeMutableRawPointer, at offset: Int) -> AtomicByte {
    AtomicByte((block + offset).assumingMemoryBound(to: UInt8.self))
  }

  /// Frees a random slot's block if it has one, fills it with a new one otherwise.
  func step() {
    let slot = state.pointee.random.below(state.pointee.capacity)
    let (address, size) = state.pointee.slots[slot]
    if address != 0 {
      state.pointee.slots[slot] = (0, 0)
      free(address, size)
      return
    }
    let wanted = 1 + state.pointee.random.below(state.pointee.random.below(4) == 0 ? state.pointee.largest : 600)
    state.pointee.calls += 1
    guard let block = heap.allocate(size: wanted) else {
      state.pointee.failures += 1
      return
    }
    let stamp = UInt8(truncatingIfNeeded: UInt(bitPattern: block) >> 4 &+ UInt(wanted))
    word(block, at: 0).storeRelaxed(stamp)
    word(block, at: wanted - 1).storeRelaxed(stamp)
    state.pointee.slots[slot] = (UInt64(UInt(bitPattern: block)), wanted)
  }

  private func free(_ address: UInt64, _ size: Int) {
    let block = UnsafeMutableRawPointer(bitPattern: UInt(address))!
    let stamp = UInt8(truncatingIfNeeded: UInt(address) >> 4 &+ UInt(size))
    if word(block, at: 0).loadRelaxed() != stamp || word(block, at: size - 1).loadRelaxed() != stamp {
      state.pointee.faults += 1
    }
    heap.deallocate(block, size: size)
  }

  /// Frees all blocks.
  func empty() {
    for slot in 0..<state.pointee.capacity where state.pointee.slots[slot].0 != 0 {
      let (address, size) = state.pointee.slots[slot]
      state.pointee.slots[slot] = (0, 0)
      free(address, size)
    }
  }
}
