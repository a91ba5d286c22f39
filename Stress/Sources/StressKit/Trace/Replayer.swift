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
// The slots are where the threads meet: (D) a block's address is stored with release after the block was filled, and loaded
// with acquire before it is looked at.
//
// A block is touched as a program would: its first word is written, and checked when it is resized or freed, and a byte in each further page
// and at its end, so that peak memory means something and a resize reads no page that was never written.

struct Replayer<Tested: AllocatorUnderTest>: Sendable {
  private let allocator: Tested
  private let steps: ReplaySteps
  private let slots: MappedArray<Slot>
  private let wrong = Wrong()

  /// A block while it lives.
  private struct Slot: BitwiseCopyable {
    /// 0: there is none.
    var address: UInt64
    /// The size in bytes, and log2 of the alignment in the upper byte.
    var layout: UInt64

    var size: Int { Int(truncatingIfNeeded: layout & (1 << 56 - 1)) }
    var shift: UInt8 { UInt8(truncatingIfNeeded: layout >> 56) }
  }

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

  init(_ allocator: Tested, _ steps: ReplaySteps) {
    self.allocator = allocator
    self.steps = steps
    slots = MappedArray(count: steps.slotCount)
  }

  func unmap() { slots.unmap() }

  /// Makes the trace's calls; what went wrong, or `nil`. What the program left live stays live.
  func replay() -> String? {
    if steps.carriers.count == 1 {
      run(steps.carriers[0])
    } else {
      let group = DispatchGroup()
      for carrier in steps.carriers {
        group.enter()
        Crew.startThread {
          run(carrier)
          group.leave()
        }
      }
      group.wait()
    }
    return wrong.first
  }

  private func run(_ carrier: Range<Int>) {
    var step = carrier.lowerBound
    while step < carrier.upperBound, !wrong.any {
      make(steps.steps.base[step], step)
      step += 1
    }
  }

  /// Gives back what the program left live, and checks it.
  func giveBack() -> String? {
    for slot in 0..<slots.count where slots[slot].address != 0 && !wrong.any {
      free(UInt32(slot), steps.steps.count)
    }
    return wrong.first
  }

  /// Touches the slots, so that their pages are there before the measurement begins.
  func warm() { memset(slots.base, 0, slots.count * MemoryLayout<Slot>.stride) }

  @inline(__always)
  private func make(_ step: ReplayStep, _ index: Int) {
    switch step.operation {
    case .allocate, .allocateZeroed, .allocateAligned:
      let alignment = step.alignment
      let zeroed = step.operation == .allocateZeroed
      guard let memory = allocator.place(at: index, size: step.size, alignment: alignment, zeroed: zeroed) else {
        return fail(index, "\(step.size) bytes, alignment \(alignment), refused")
      }
      publish(memory, step.slot, step.size, step.alignmentShift)
    case .reallocate:
      guard let old = whenMade(step.previous) else { return }
      let (oldSize, shift) = (slots.base[Int(step.previous)].size, slots.base[Int(step.previous)].shift)
      check(old, step.previous, oldSize, index)
      slots.base[Int(step.previous)].address = 0
      guard
        let resized = allocator.move(
          old, at: index, size: oldSize, alignment: 1 &<< Int(shift), newSize: step.size)
      else { return fail(index, "from \(oldSize) to \(step.size) bytes, refused") }
      if min(step.size, oldSize) >= 8 { check(resized.address, step.previous, min(step.size, oldSize), index) }
      publish(resized.address, step.slot, resized.size, shift)
    case .free:
      free(step.slot, index)
    }
  }

  @inline(__always)
  private func free(_ slot: UInt32, _ index: Int) {
    guard let memory = whenMade(slot) else { return }
    let (size, shift) = (slots.base[Int(slot)].size, slots.base[Int(slot)].shift)
    check(memory, slot, size, index)
    slots.base[Int(slot)].address = 0
    allocator.deallocate(memory, size: size, alignment: 1 &<< Int(shift))
  }

  @inline(__always)
  private func publish(_ memory: UnsafeMutableRawPointer, _ slot: UInt32, _ size: Int, _ shift: UInt8) {
    var page = 4096
    while page < size {
      memory.storeBytes(of: 1, toByteOffset: page, as: UInt8.self)
      page += 4096
    }
    memory.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self)
    if size >= 8 { memory.storeBytes(of: Self.mark(slot), as: UInt64.self) }
    let place = slots.base + Int(slot)
    place.pointee.layout = UInt64(truncatingIfNeeded: size) | UInt64(shift) << 56
    cs_store_release(addressWord(place), UInt64(UInt(bitPattern: memory)))  // (D) release
  }

  @inline(__always)
  private func check(_ memory: UnsafeMutableRawPointer, _ slot: UInt32, _ size: Int, _ index: Int) {
    guard size >= 8, memory.loadUnaligned(as: UInt64.self) != Self.mark(slot) else { return }
    fail(index, "a block of \(size) bytes at \(memory) has lost its first word")
  }

  /// Blocks that live at the same time have different slots, and so different marks.
  private static func mark(_ slot: UInt32) -> UInt64 { (UInt64(slot) &+ 1) &* 0x9E37_79B9_7F4A_7C15 }

  @inline(never)
  private func fail(_ step: Int, _ what: @autoclosure () -> String) {
    wrong.set("event \(steps.event(of: step)): \(what())")
  }

  /// The block's address, once the thread that makes it has made it; `nil` where the replay has failed meanwhile.
  @inline(__always)
  private func whenMade(_ slot: UInt32) -> UnsafeMutableRawPointer? {
    var turns = 0
    while true {
      let address = cs_load_acquire(addressWord(slots.base + Int(slot)))  // (D) acquire
      if address != 0 { return UnsafeMutableRawPointer(bitPattern: UInt(address)) }
      if wrong.any { return nil }
      turns += 1
      if turns > 64 { sched_yield() }
    }
  }

  @inline(__always)
  private func addressWord(_ slot: UnsafeMutablePointer<Slot>) -> UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(slot).assumingMemoryBound(to: UInt64.self)
  }
}
