import CStress
import Dispatch
import Glibc
import Synchronization

// Replays a trace on an allocator, with as many threads as the program had.
//
// Each recorded thread's events are made by a thread of their own, in their order. Between threads only what must be
// kept is kept: a free or a resize waits until the block it names has been made. No wait can be for ever: the recorded
// order of all events is an order in which every event finds its block, so the earliest event that has not been made
// is never one that waits. (A serial replay makes all events in recorded order on one thread.)
//
// The table of addresses is where the threads meet: (D) a block's address is stored with release after the block was
// filled, and loaded with acquire before it is looked at.
//
// A block is touched as a program would: its first word is written, and checked when it is resized or freed, and a byte in each further page
// and at its end, so that peak memory means something and a resize reads no page that was never written.

struct Replayer<Tested: AllocatorUnderTest>: Sendable {
  /// Where a program had more threads, one replays the events of several, in recorded order: as sound as with one each.
  private static var mostThreads: Int { 256 }

  private let allocator: Tested
  private let trace: Trace
  private let serial: Bool
  private let addresses: MappedArray<UInt64>
  private let sizes: MappedArray<Int>
  private let alignments: MappedArray<UInt8>
  private let wrong = Wrong()

  final class Wrong: Sendable {
    private let isSet = Atomic<Bool>(false)
    private let text = Guarded("")
    var any: Bool { isSet.load(ordering: .relaxed) }  // relaxed: only ends waits early; the text has the mutex
    var first: String? { any ? text.withLock { $0 } : nil }
    func set(_ what: String) {
      text.withLock { if $0.isEmpty { $0 = what } }
      isSet.store(true, ordering: .relaxed)
    }
  }

  init(_ allocator: Tested, _ trace: Trace, serial: Bool) {
    self.allocator = allocator
    self.trace = trace
    self.serial = serial
    addresses = MappedArray(count: trace.header.blocks)
    sizes = MappedArray(count: trace.header.blocks)
    alignments = MappedArray(count: trace.header.blocks)
  }

  /// Makes the trace's calls; what went wrong, or `nil`. What the program left live stays live.
  func replay() -> String? {
    if serial || trace.header.threads <= 1 {
      for index in 0..<trace.events.count where !wrong.any { make(trace.events[index], index) }
    } else {
      let group = DispatchGroup()
      let carriers = min(trace.header.threads, Self.mostThreads)
      for carrier in 0..<carriers {
        group.enter()
        Crew.startThread {
          for index in 0..<trace.events.count where Int(trace.events.base[index].thread) % carriers == carrier {
            if wrong.any { break }
            make(trace.events.base[index], index)
          }
          group.leave()
        }
      }
      group.wait()
    }
    return wrong.first
  }

  /// Gives back what the program left live, and checks it.
  func giveBack() -> String? {
    for block in 0..<addresses.count where addresses[block] != 0 && !wrong.any {
      free(UInt32(block), trace.events.count)
    }
    return wrong.first
  }

  /// Touches the tables, so that their pages are there before the measurement begins.
  func warm() {
    memset(addresses.base, 0, addresses.count * MemoryLayout<UInt64>.stride)
    memset(sizes.base, 0, sizes.count * MemoryLayout<Int>.stride)
    memset(alignments.base, 0, alignments.count)
  }

  @inline(__always)
  private func make(_ event: TraceEvent, _ index: Int) {
    switch event.operation {
    case .allocate, .allocateZeroed, .allocateAligned:
      let size = max(1, event.size)
      let alignment = 1 << Int(event.alignmentShift)
      let zeroed = event.operation == .allocateZeroed
      guard let memory = allocator.place(of: event.block, size: size, alignment: alignment, zeroed: zeroed) else {
        return wrong.set("event \(index): \(size) bytes, alignment \(alignment), refused")
      }
      publish(memory, event.block, size, event.alignmentShift)
    case .reallocate:
      guard let old = whenMade(event.previous) else { return }
      let size = max(1, event.size)
      let oldSize = sizes[Int(event.previous)]
      let shift = alignments[Int(event.previous)]
      check(old, event.previous, oldSize, index)
      addresses[Int(event.previous)] = 0
      guard
        let resized = allocator.move(
          old, to: event.block, size: oldSize, alignment: 1 << Int(shift), newSize: size)
      else { return wrong.set("event \(index): from \(oldSize) to \(size) bytes, refused") }
      if min(size, oldSize) >= 8 { check(resized.address, event.previous, min(size, oldSize), index) }
      publish(resized.address, event.block, resized.size, shift)
    case .free:
      free(event.block, index)
    }
  }

  @inline(__always)
  private func free(_ block: UInt32, _ index: Int) {
    guard let memory = whenMade(block) else { return }
    check(memory, block, sizes[Int(block)], index)
    addresses[Int(block)] = 0
    allocator.deallocate(memory, size: sizes[Int(block)], alignment: 1 << Int(alignments[Int(block)]))
  }

  @inline(__always)
  private func publish(_ memory: UnsafeMutableRawPointer, _ block: UInt32, _ size: Int, _ shift: UInt8) {
    var page = 4096
    while page < size {
      memory.storeBytes(of: 1, toByteOffset: page, as: UInt8.self)
      page += 4096
    }
    memory.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self)
    if size >= 8 { memory.storeBytes(of: Self.mark(block), as: UInt64.self) }
    sizes[Int(block)] = size
    alignments[Int(block)] = shift
    cs_store_release(addresses.base + Int(block), UInt64(UInt(bitPattern: memory)))  // (D) release
  }

  @inline(__always)
  private func check(_ memory: UnsafeMutableRawPointer, _ block: UInt32, _ size: Int, _ index: Int) {
    guard size >= 8, memory.loadUnaligned(as: UInt64.self) != Self.mark(block) else { return }
    wrong.set("event \(index): block \(block), \(size) bytes at \(memory), has lost its first word")
  }

  private static func mark(_ block: UInt32) -> UInt64 { (UInt64(block) &+ 1) &* 0x9E37_79B9_7F4A_7C15 }

  /// The block's address, once the thread that makes it has made it; `nil` where the replay has failed meanwhile.
  @inline(__always)
  private func whenMade(_ block: UInt32) -> UnsafeMutableRawPointer? {
    var turns = 0
    while true {
      let address = cs_load_acquire(addresses.base + Int(block))  // (D) acquire
      if address != 0 { return UnsafeMutableRawPointer(bitPattern: UInt(address)) }
      if wrong.any { return nil }
      turns += 1
      if turns > 64 { sched_yield() }
    }
  }
}
