// The memory that one CPU works in (in `thread` mode: one thread): a stack of pointers for each size class and page
// order, so that the common allocation and free touch nothing that another CPU writes.
//
//     byte 0     gate        0 open; otherwise stopped: whoever set it works on the region alone
//     byte 8…    counters    of the slow path, see `Counter`
//     byte 64    busy        `thread` mode: the owner is inside an operation on this region
//     byte 72    stillness   what looks for idle CPUs saw of the stacks' tops
//     byte 96    closed      what an owner byte of 0 leads to, as KA_OWNER_RUN leads to byte 2816
//     byte 128   stacks      {top, begin, end, room}, 32 bytes each
//     byte 2848  arrays      `StackInfo.capacity` pointers for each stack
//
// Life of a stack:
//
//     closed ──open──▶ open(capacity 16) ──grow──▶ … open(`StackInfo.capacity`)
//       ▲                    │
//       └──────release───────┴──intercept──▶ stopped (begin = max, end = room = 0)
//
// closed    all four words 0: pop finds top ≤ begin, push finds top ≥ end, so both take the slow path
// open      begin = the array, end = room = array + capacity; with several nodes end = 0, because a free must compare
//           the object's node first, which only the slow path does
// stopped   no operation can pass its limit; the array and top belong to whoever stopped the region
//
// Words of an open stack are written by sections of its own CPU only (`ka_section_…`), which commit with one store.
// The words of a stopped one are written by the thread that holds the gate. Between the two lies a barrier for that
// CPU's sections: (D) in Drain.swift.

import KAllocAtomics

/// One CPU's region. Thread-safety: see the essay above; each member says who may call it.
///
/// ## Invariants
/// `base` is page-aligned and holds `KA_REGION_BYTES` that stay mapped.
@safe
struct CPURegion {
  nonisolated(unsafe) let base: UnsafeMutableRawPointer

  static var bytes: Int { Int(KA_REGION_BYTES) }
  /// Behind the stacks, and behind the one that `KA_OWNER_RUN` names, which stays closed.
  static var arraysOffset: Int { Int(KA_STACKS_OFFSET) + (StackIndex.count + 1) * Int(KA_STACK_BYTES) }

  /// What the slow path counts, as words behind the gate. Relaxed: a sum of them is a statistic.
  enum Counter: Int {
    case refills = 1
    case flushes
    case depotTakes
    case depotPuts
    case aborts
    case shared
    case remoteFrees
  }

  static let counters = 7

  /// > Safety: `base` is a region of a heap.
  @unsafe init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

  @inline(__always)
  private func word(_ offset: Int) -> AtomicWord {
    unsafe AtomicWord((base + offset).assumingMemoryBound(to: UInt64.self))
  }

  var gate: AtomicWord { word(0) }
  /// The gate of a region that its CPU works in; any other value is the number of the drain that stopped it.
  static let open: UInt64 = 0

  /// 1 while the thread that owns the region works in it, in `thread` mode: a signal handler that finds it must not touch
  /// the stacks, and a drain leaves the region alone. Of this region, not of the thread: in another heap, and among the
  /// outgoing magazines, it may be at work meanwhile.
  var busy: AtomicWord { word((1 &+ CPURegion.counters) &* 8) }

  /// What looks saw. Relaxed: of two that look at once either one's is as good.
  private var stillness: AtomicWord { word((2 &+ CPURegion.counters) &* 8) }

  /// Whether no top has moved for `milliseconds` (0: since the last look), and whether there is none: all stacks are closed, as a
  /// drain leaves them, and nobody has come since. Tops that came back to where they were count as still: what is drained then
  /// is missed, and no more.
  func look(stacks: Int, for milliseconds: UInt64, now: UInt64) -> (isStill: Bool, isEmpty: Bool) {
    var sum: UInt64 = 0
    for index in 0..<stacks {
      // Relaxed: a sum of tops that are read one after the other, for a guess.
      sum = sum &* 0x9e37_79b9_7f4a_7c15 &+ top(StackIndex(rawValue: index)).loadRelaxed()
    }
    let last = Stillness(bits: stillness.loadRelaxed())
    let next = last.seen(UInt32(truncatingIfNeeded: sum &>> 32 ^ sum), now: now)
    if let next { stillness.storeRelaxed(next.bits) }
    let hasLasted = milliseconds == 0 ? next == nil : (next ?? last).hasLasted(milliseconds, now: now)
    return (sum == 0 || hasLasted, sum == 0)
  }

  func counter(_ counter: Counter) -> AtomicWord { word(counter.rawValue &* 8) }

  /// In two halves, unlocked: the region is the CPU's own, and who comes between the two halves is not counted, nor is what was
  /// counted since by whom a thread was moved away from: a statistic, seldom too low.
  func count(_ counter: Counter) {
    let word = self.counter(counter)
    word.storeRelaxed(word.loadRelaxed() &+ 1)
  }

  /// The byte in a region at which `stack` stands.
  @inline(__always)
  static func offset(_ stack: StackIndex) -> Int {
    Int(KA_STACKS_OFFSET) &+ stack.rawValue &* Int(KA_STACK_BYTES)
  }

  // The words of the stack that stands at byte `stack` of the region.
  func top(at stack: Int) -> AtomicWord { word(stack &+ Int(KA_STACK_TOP)) }
  func begin(at stack: Int) -> AtomicWord { word(stack &+ Int(KA_STACK_BEGIN)) }
  func end(at stack: Int) -> AtomicWord { word(stack &+ Int(KA_STACK_END)) }
  func room(at stack: Int) -> AtomicWord { word(stack &+ Int(KA_STACK_ROOM)) }

  func top(_ stack: StackIndex) -> AtomicWord { top(at: CPURegion.offset(stack)) }
  func begin(_ stack: StackIndex) -> AtomicWord { begin(at: CPURegion.offset(stack)) }
  func end(_ stack: StackIndex) -> AtomicWord { end(at: CPURegion.offset(stack)) }
  func room(_ stack: StackIndex) -> AtomicWord { room(at: CPURegion.offset(stack)) }

  /// The address at which the array of a stack begins.
  @inline(__always)
  func array(_ info: StackInfo) -> UInt64 { UInt64(UInt(bitPattern: unsafe base)) &+ UInt64(info.arrayOffset) }

  /// The pointers on a stack: exact while its CPU is idle or stopped, clamped otherwise.
  func fill(_ info: StackInfo) -> Int {
    let top = top(info.stack).loadRelaxed()
    let array = array(info)
    return top <= array ? 0 : min(Int(truncatingIfNeeded: top &- array) / 8, info.capacity)
  }

  /// Sends every operation on the first `stacks` stacks to the slow path. Only by the thread that holds the gate.
  func intercept(stacks: Int) {
    for index in 0..<stacks {
      let stack = CPURegion.offset(StackIndex(rawValue: index))
      begin(at: stack).storeRelaxed(.max)
      end(at: stack).storeRelaxed(0)
      room(at: stack).storeRelaxed(0)
    }
  }

  /// Empties the first `stacks` stacks, whose pointers the caller has taken: `close`, with a barrier after `empty`.
  func empty(stacks: Int) {
    for index in 0..<stacks { top(at: CPURegion.offset(StackIndex(rawValue: index))).storeRelaxed(0) }
  }

  /// Leaves the first `stacks` stacks as those of a region that was never used.
  func close(stacks: Int) {
    for index in 0..<stacks { begin(at: CPURegion.offset(StackIndex(rawValue: index))).storeRelaxed(0) }
  }
}
