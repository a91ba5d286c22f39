// A trace, made ready for a replay that does little besides: what is measured should be the allocator and not the replayer's
// cache misses.
//
//     recorded order    0   1   2   3   4 …      one array, 24 bytes an event, any thread's
//          ▼
//     by carrier      │ 0  2  3 … │ 1  4 … │     16 bytes a step, each thread reads its own
//
// A step names a block by a slot: where the block's address stands while it lives. A block that the same carrier makes and ends
// takes the slot that this carrier has left last, so that few slots are in use and they are in the cache. One that another carrier
// ends, or nobody, has a slot for itself alone: who waits for it finds nothing else there.

/// What to do at one event.
struct ReplayStep: BitwiseCopyable, Sendable {
  /// Size, operation and alignment in 47, 3 and 6 bits.
  private let request: UInt64
  /// Of the block made; for `.free` of the block freed.
  let slot: UInt32
  /// For `.reallocate`, of the block that is no more.
  let previous: UInt32

  init(_ event: TraceEvent, slot: UInt32, previous: UInt32) {
    request =
      UInt64(event.size) | UInt64(event.operation.rawValue) << 47 | UInt64(event.alignmentShift) << 50
    self.slot = slot
    self.previous = previous
  }

  /// In bytes, at least 1.
  var size: Int { max(1, Int(truncatingIfNeeded: request & (1 << 47 - 1))) }
  var operation: TraceEvent.Operation {
    // SAFETY: the bits are the raw value of one, as `init` wrote it.
    unsafeBitCast(UInt8(truncatingIfNeeded: request >> 47 & 7), to: TraceEvent.Operation.self)
  }
  /// log2 of the alignment, and the alignment in bytes.
  var alignmentShift: UInt8 { UInt8(truncatingIfNeeded: request >> 50) }
  var alignment: Int { 1 &<< Int(alignmentShift) }
}

/// The steps of a replay.
struct ReplaySteps: Sendable {
  /// Where a program had more threads, one carrier makes the events of several, in recorded order: as sound as with one each.
  private static var mostCarriers: Int { 256 }

  let steps: MappedArray<ReplayStep>
  /// Whose steps stand where.
  let carriers: [Range<Int>]
  private(set) var slotCount = 0
  private let trace: Trace

  /// - Parameter serial: all events by one carrier.
  init(_ trace: Trace, serial: Bool) {
    self.trace = trace
    let count = serial ? 1 : min(max(trace.header.threads, 1), Self.mostCarriers)
    var lengths = Array(repeating: 0, count: count)
    for index in 0..<trace.events.count { lengths[Int(trace.events[index].thread) % count] += 1 }
    var end = 0
    carriers = lengths.map { length in
      defer { end += length }
      return end..<end + length
    }
    steps = MappedArray(count: trace.events.count)
    var slots = Slots(trace, carriers: count)
    defer { slots.unmap() }
    forEachEvent { event, step in
      let carrier = Int(event.thread) % count
      let previous = event.operation == .reallocate ? slots.end(event.previous, by: carrier) : 0
      let slot = event.operation == .free ? slots.end(event.block, by: carrier) : slots.make(event.block, by: carrier)
      steps[step] = ReplayStep(event, slot: slot, previous: previous)
    }
    slotCount = slots.count
  }

  func unmap() { steps.unmap() }

  /// Calls `body` with each event in recorded order, and the place of its step.
  func forEachEvent(_ body: (TraceEvent, Int) -> Void) {
    var next = carriers.map(\.lowerBound)
    for index in 0..<trace.events.count {
      let event = trace.events[index]
      let carrier = Int(event.thread) % carriers.count
      body(event, next[carrier])
      next[carrier] += 1
    }
  }

  /// The number, in recorded order, of the event at a step; of all of them behind the last.
  func event(of step: Int) -> Int {
    var found = trace.events.count
    var index = 0
    forEachEvent { _, other in
      if other == step { found = index }
      index += 1
    }
    return found
  }
}

/// Gives out slots.
private struct Slots {
  /// By block: who makes it, and from the second pass on its slot.
  private let blocks: MappedArray<UInt32>
  /// By block: whether only the carrier that makes it ends it.
  private let isLocal: MappedArray<Bool>
  /// By carrier: slots that it has left.
  private var left: [[UInt32]]
  private(set) var count = 0

  init(_ trace: Trace, carriers: Int) {
    blocks = MappedArray(count: trace.header.blocks)
    isLocal = MappedArray(count: trace.header.blocks)
    left = Array(repeating: [], count: carriers)
    for index in 0..<trace.events.count {
      let event = trace.events[index]
      let carrier = UInt32(Int(event.thread) % carriers)
      switch event.operation {
      case .free: isLocal[Int(event.block)] = blocks[Int(event.block)] == carrier
      case .reallocate:
        isLocal[Int(event.previous)] = blocks[Int(event.previous)] == carrier
        blocks[Int(event.block)] = carrier
      default: blocks[Int(event.block)] = carrier
      }
    }
  }

  func unmap() {
    blocks.unmap()
    isLocal.unmap()
  }

  mutating func make(_ block: UInt32, by carrier: Int) -> UInt32 {
    if isLocal[Int(block)], let slot = left[carrier].popLast() {
      blocks[Int(block)] = slot
    } else {
      blocks[Int(block)] = UInt32(count)
      count += 1
    }
    return blocks[Int(block)]
  }

  mutating func end(_ block: UInt32, by carrier: Int) -> UInt32 {
    let slot = blocks[Int(block)]
    if isLocal[Int(block)] { left[carrier].append(slot) }
    return slot
  }
}
