import CProof
import Slab

/// One trial: a process whose first thread is stopped at a place in an operation and left there, while others work to their end.
struct Trial {
  let path: Path
  let operand: UnsafeMutablePointer<Operand>
  let slabBytes: Int
  /// Milliseconds that the others may take.
  let limit: Int32
  /// Words that the processes share: go, finished, done, fault, the operation's block, nested handlers; then the books.
  let shared: UnsafeMutableRawPointer

  static let crew = 3
  static let operations = 300

  enum Stop: CustomStringConvertible {
    /// Before the operation.
    case before
    /// Before the instruction at an address, the n-th time that it comes to it.
    case at(UInt64, UInt32)
    /// After so many single steps, each of which aborts the restartable sequence that it is in.
    case steps(UInt64)
    /// After the operation.
    case after

    var description: String {
      switch self {
      case .before: "before it"
      case .at(_, let count): "pass \(count)"
      case .steps(let count): "after \(count) single steps"
      case .after: "after it"
      }
    }
  }

  /// What comes over the victim where it was stopped.
  enum Visit {
    /// It stays there for good.
    case nothing
    /// A signal handler uses the allocator, then the operation goes on to its end.
    case handler
    /// The same; the handler is interrupted by another one where it comes to an address for the n-th time. Where it does not come
    /// there, the second one interrupts the operation, or nothing.
    case handlers(UInt64, UInt32)

    var isInterrupting: Bool { if case .nothing = self { false } else { true } }
  }

  enum Outcome {
    case books(Books)
    /// The operation never comes to the address.
    case notReached
    /// The others did not finish.
    case stuck(at: UInt64)
    case wrong(String, at: UInt64)
  }

  private var go: UnsafeMutablePointer<UInt32> { word(0) }
  private var finished: UnsafeMutablePointer<UInt32> { word(1) }
  private var done: UnsafeMutablePointer<UInt32> { word(2) }
  private var fault: UnsafeMutablePointer<UInt32> { word(3) }
  private var stamped: UnsafeMutablePointer<UInt32> { word(4) }
  private var nested: UnsafeMutablePointer<UInt32> { word(5) }
  private var books: UnsafeMutablePointer<Books> { (shared + 1024).assumingMemoryBound(to: Books.self) }

  private func word(_ index: Int) -> UnsafeMutablePointer<UInt32> {
    (shared + index * 128).assumingMemoryBound(to: UInt32.self)
  }

  /// Whether in the last run a handler interrupted a handler.
  var wasNested: Bool { nested.pointee != 0 }

  func run(_ stop: Stop, _ visit: Visit = .nothing) -> Outcome {
    for index in 0..<6 { word(index).pointee = 0 }
    let victim = start(withCrew: true)
    defer { _ = cp_kill(victim) }
    _ = cp_await_victim(victim)
    var place = cp_place(how: CP_AT, address: 0)
    switch stop {
    case .before: break
    case .at(let address, let count):
      place = cp_run_to(victim, address, count, false)
      if cp_is_end(place) { return .notReached }
    case .steps(let count):
      place = cp_step(victim, count)
      if cp_is_end(place) { return .notReached }
    case .after: place = cp_run_to(victim, 0, 1, false)
    }
    if visit.isInterrupting && place.how == CP_AT && !isEnded(victim, visit) {
      return .wrong("the operation did not end after the handler", at: place.address)
    }
    if path.allocates && place.how == CP_AT && (visit.isInterrupting || cp_is_end(place)) { stamp(victim) }
    if place.how == CP_GONE { return .wrong("the victim ended", at: place.address) }
    cp_set(go, 1)
    if !cp_await(done, 1, limit) { return .stuck(at: place.address) }
    if stamped.pointee > 1 { return .wrong("the block that it got was given to another, too", at: place.address) }
    if fault.pointee != 0 { return .wrong("a block has lost its contents, or memory ran out", at: place.address) }
    return .books(books.pointee)
  }

  /// Lets the handlers of a visit run, then the operation to its end; whether that came.
  private func isEnded(_ victim: pid_t, _ visit: Visit) -> Bool {
    guard case .handlers(let address, let count) = visit else { return cp_is_end(cp_run_to(victim, 0, 1, true)) }
    let second = cp_run_to(victim, address, count, true)
    if second.how != CP_AT || cp_is_end(second) { return cp_is_end(second) }
    nested.pointee = cp_is_in_handler(victim) ? 1 : 0
    return cp_is_end(cp_run_to(victim, 0, 1, true))
  }

  /// Where the operation has ended with a block, its first word says so: nobody else may write there.
  private func stamp(_ victim: pid_t) {
    let place = UnsafeRawPointer(operand) + MemoryLayout<Operand>.offset(of: \.block)!
    let block = cp_peek(victim, UInt64(UInt(bitPattern: place)))
    if block == 0 { return }
    cp_poke(victim, block, Trial.mark)
    stamped.pointee = 1
  }

  private static let mark: UInt64 = 0x5eed_0b10_c4ed_b10c

  /// The addresses of the operation's instructions, in their order; where it is interrupted, those of the handler first.
  func record(through: Bool, interrupted: Bool = false, limit: Int) -> [UInt64] {
    let victim = start(withCrew: false)
    defer { _ = cp_kill(victim) }
    _ = cp_await_victim(victim)
    return [UInt64](unsafeUninitializedCapacity: limit) { buffer, count in
      count = cp_record(victim, through, interrupted, buffer.baseAddress!, limit)
    }
  }

  /// Whether an instruction that the operation executes begins at an address.
  func reaches(_ address: UInt64) -> Bool {
    let victim = start(withCrew: false)
    defer { _ = cp_kill(victim) }
    _ = cp_await_victim(victim)
    let place = cp_run_to(victim, address, 1, false)
    return place.how == CP_AT && !cp_is_end(place)
  }

  // MARK: In the child

  private func start(withCrew: Bool) -> pid_t {
    let child = cp_fork()
    if child != 0 { return child }
    if withCrew {
      let context = UnsafeMutablePointer<Trial>.allocate(capacity: 1)
      context.initialize(to: self)
      cp_crew(
        Int32(Trial.crew),
        { context, index in
          Trial.work(context!.assumingMemoryBound(to: Trial.self).pointee, Int(index))
        }, context)
    }
    cp_live_at_most(60)
    cp_on_interrupt(
      { context in
        var operand = Operand.at(context).pointee
        if let kept = operand.handlersAside { operand.aside = kept }
        // This one may meet the operation, or another handler, in what is broken on purpose.
        if !CrewWork(operand: operand, size: operand.size > 32768 ? 512 : operand.size, index: 2).run(60) { cp_exit(3) }
      }, operand)
    cp_victim(path.operate, operand)
  }

  private static func work(_ trial: Trial, _ index: Int) {
    // One beside the victim on its CPU, one on the next, one wherever it is put.
    cp_pin(0, index == 2 ? -1 : Int32(index))
    _ = cp_await(trial.go, 1, 120_000)
    var operand = trial.operand.pointee
    operand.aside = nil
    operand.handlersAside = nil
    let worker = CrewWork(operand: operand, size: trial.path.size, index: index)
    if !worker.run(Trial.operations) { _ = cp_add(trial.fault, 1) }
    if cp_add(trial.finished, 1) == UInt32(Trial.crew) {
      if trial.stamped.pointee == 1, let block = trial.operand.pointee.block,
        block.load(as: UInt64.self) != Trial.mark
      {
        trial.stamped.pointee = 2
      }
      trial.operand.pointee.keepNothing()
      trial.books.pointee = Books(trial.operand.pointee.heap, slabBytes: trial.slabBytes)
      cp_set(trial.done, 1)
    }
  }
}

/// What the others do: a fixed number of operations of every kind, each block's contents verified.
struct CrewWork {
  let operand: Operand
  let size: Int
  let index: Int

  private struct Slot {
    var block: UnsafeMutableRawPointer?
    var bytes = 0
    /// Of pages; negative: an object or a large block.
    var order = -1
    var stamp: UInt64 = 0
  }

  func run(_ operations: Int) -> Bool {
    withUnsafeTemporaryAllocation(of: Slot.self, capacity: 48) { slots in
      slots.initialize(repeating: Slot())
      var random = UInt64(index) &* 0x9e37_79b9_7f4a_7c15 &+ 1
      for operation in 0..<operations {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let slot = Int(random >> 40) % slots.count
        if slots[slot].block != nil {
          if !free(&slots[slot], unsized: random & 1 << 33 == 0) { return false }
        } else {
          slots[slot] = choose(operation, random)
          if slots[slot].order < 9 && slots[slot].bytes < 1 << 20 && slots[slot].block == nil { return false }
        }
        if index == 0 && operation == operations / 3 { operand.guarded { operand.heap.drain() } }
        if index == 1 && operation == operations / 2 { operand.guarded { _ = operand.heap.trim() } }
      }
      for slot in slots.indices where slots[slot].block != nil {
        if !free(&slots[slot], unsized: false) { return false }
      }
      return true
    }
  }

  private func choose(_ operation: Int, _ random: UInt64) -> Slot {
    var slot = Slot(bytes: size, stamp: random | 1)
    switch operation % 16 {
    case 0, 1, 2: slot.bytes = 16 + Int(random >> 20) % 2000
    case 3: slot.order = 0
    case 4: slot.order = Int(random >> 20) % 9
    case 5: slot.bytes = 33_000 + Int(random >> 20) % 300_000
    case 6: if operation % 64 == 6 { slot.order = 9 }
    default: break
    }
    let heap = operand.heap
    if slot.order >= 0 {
      slot.bytes = 4096 << slot.order
      slot.block = operand.guarded { try? heap.allocatePages(order: slot.order) }
    } else {
      slot.block = operand.allocate(slot.bytes)
    }
    if let block = slot.block {
      block.storeBytes(of: slot.stamp, as: UInt64.self)
      block.storeBytes(of: ~slot.stamp, toByteOffset: slot.bytes & ~7 - 8, as: UInt64.self)
    }
    return slot
  }

  private func free(_ slot: inout Slot, unsized: Bool) -> Bool {
    guard let block = slot.block else { return true }
    if block.load(as: UInt64.self) != slot.stamp { return false }
    if block.load(fromByteOffset: slot.bytes & ~7 - 8, as: UInt64.self) != ~slot.stamp { return false }
    let heap = operand.heap
    let (bytes, order) = (slot.bytes, slot.order)
    if order >= 0 {
      operand.guarded { heap.deallocatePages(block, order: order) }
    } else if unsized {
      operand.guarded { heap.deallocate(block) }
    } else {
      operand.deallocate(block, bytes)
    }
    slot.block = nil
    return true
  }
}
