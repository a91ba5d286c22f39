import CProof
import Slab

/// What was found of one path in one mode.
struct PathReport {
  let path: String
  let mode: SubjectName
  /// Instructions of the operation, when it is left alone.
  var instructions = 0
  /// Whether there were more, which are left out.
  var isCut = false
  /// Different instructions of the allocator at which the operation can be stopped, and those at which it was.
  var places: Set<UInt64> = []
  var exercised: Set<UInt64> = []
  /// Processes in which a thread was stopped for good, or interrupted.
  var trials = 0
  /// Those in which a handler interrupted a handler.
  var nested = 0
  /// Single steps to the operation's end where each step aborts the sequence it is in.
  var steps = 0
  var objectsLost = 0
  /// Objects and pages left in caches that nobody could empty.
  var stuck = 0
  var bytesLost = 0
  var failures: [String] = []
}

/// Stops a thread at the instructions of one path, one process for each, and looks at what the others can still do.
struct Suspension {
  let path: Path
  let mode: SubjectName
  let symbols: Symbols
  /// Stop points at most; the rest is left out, by chance.
  let points: Int
  let seed: UInt64
  /// Milliseconds for the others.
  let limit: Int32
  let proof: Proof
  var broken = Breakage.nothing
  /// Only handlers' places in functions whose name contains this.
  var within = ""

  enum Proof {
    case suspend
    /// Not left where it was stopped: a signal handler allocates and frees there, and the operation goes on.
    case interrupt
    /// The same, and that handler is interrupted by another one.
    case nested
  }

  /// Instructions that are recorded, at most.
  static let recordLimit = 400_000
  /// Where only a few stop points are taken.
  private var limitOfRecord: Int { points < 16 ? 6000 : Suspension.recordLimit }

  func run() throws -> PathReport {
    var report = PathReport(path: path.name, mode: mode)
    cp_pin(0, 0)
    defer { cp_pin(0, -1) }
    try path.rehearse(mode.mode)
    let preparation = try Preparation(path, mode: mode.mode, broken: broken)
    try path.prepare(preparation)
    guard let shared = cp_map_shared(4096) else { throw Exit.failed("no shared memory") }
    let trial = Trial(
      path: path, operand: preparation.operand, slabBytes: try Suspension.slabBytes(path.size), limit: limit,
      shared: shared)

    let recorded = trial.record(through: true, limit: limitOfRecord)
    report.instructions = recorded.count
    report.isCut = recorded.count == limitOfRecord
    let aborted =
      mode == .rseq && points >= 16 && !path.drains && proof == .suspend
      ? trial.record(through: false, limit: Suspension.recordLimit) : []
    report.steps = aborted.count
    if aborted.count == Suspension.recordLimit {
      report.failures.append("\(path.name), \(mode.rawValue): does not end within \(aborted.count) single steps")
    }
    guard case .books(let before) = trial.run(.before), case .books(let after) = trial.run(.after) else {
      report.failures.append("\(path.name), \(mode.rawValue): the others do not finish beside a thread outside")
      return report
    }
    let stops = stops(recorded, aborted, trial, &report)
    let handler = proof == .nested ? handlerPlaces(trial) : []
    // With two places to choose, each stop and each place in the handler once, as far as `points` goes.
    for turn in 0..<max(stops.count, min(handler.count, points)) where report.failures.count < 3 {
      let stop = stops[turn % stops.count]
      switch proof {
      case .suspend: take(trial, stop, .nothing, before, after, &report)
      case .interrupt: take(trial, stop, .handler, before, after, &report)
      case .nested: take(trial, stop, .handlers(handler[turn % handler.count], 1), before, after, &report)
      }
    }
    return report
  }

  /// The instructions of a handler that are the allocator's, in an order by chance.
  private func handlerPlaces(_ trial: Trial) -> [UInt64] {
    let recorded = Set(trial.record(through: true, interrupted: true, limit: limitOfRecord))
    var random = SplitMix(state: ~seed)
    return recorded.sorted().filter { address in
      symbols.isAllocator(address) && (within.isEmpty || symbols.describe(address).contains(within))
    }.shuffled(using: &random)
  }

  private func take(
    _ trial: Trial, _ stop: Trial.Stop, _ visit: Trial.Visit, _ before: Books, _ after: Books,
    _ report: inout PathReport
  ) {
    let outcome = trial.run(stop, visit)
    if case .notReached = outcome { return }
    report.trials += 1
    if trial.wasNested { report.nested += 1 }
    if case .at(let address, _) = stop { report.exercised.insert(address) }
    var fault: String?
    var place: UInt64 = 0
    if case .at(let address, _) = stop { place = address }
    switch outcome {
    case .books(let found):
      let loss =
        visit.isInterrupting
        ? Loss(found, interrupted: after) : Loss(found, before: before, after: after, path: path, mode: mode)
      report.objectsLost = max(report.objectsLost, loss.objects)
      report.bytesLost = max(report.bytesLost, loss.bytes)
      report.stuck = max(report.stuck, found.stuck)
      fault = loss.fault
    case .stuck(let address): (fault, place) = ("the others did not finish", address)
    case .wrong(let text, let address): (fault, place) = (text, address)
    case .notReached: break
    }
    if let fault {
      var position = "\(visit.isInterrupting ? "interrupted" : "stopped") at \(symbols.describe(place)) (\(stop))"
      if case .handlers(let address, let count) = visit {
        position += ", the handler at \(symbols.describe(address)) (pass \(count))"
      }
      report.failures.append("\(path.name), \(mode.rawValue), \(position): \(fault)")
    }
  }

  /// Every place once; then, as far as `points` goes, places that were passed before, and the middle of aborted operations.
  private func stops(
    _ recorded: [UInt64], _ aborted: [UInt64], _ trial: Trial, _ report: inout PathReport
  ) -> [Trial.Stop] {
    var counts: [UInt64: UInt32] = [:]
    var later: [Trial.Stop] = []
    for address in recorded where symbols.isAllocator(address) {
      counts[address, default: 0] += 1
      if counts[address]! > 1 { later.append(.at(address, counts[address]!)) }
    }
    report.places = Set(counts.keys)
    for index in 0..<cp_section_count() where points >= 16 && counts[cp_section_start(index)] != nil {
      for address in cp_section_start(index) + 1..<cp_section_end(index) where trial.reaches(address) {
        report.places.insert(address)
      }
    }
    var random = SplitMix(state: seed)
    let first = report.places.sorted().map { Trial.Stop.at($0, 1) }.shuffled(using: &random)
    let repeated = later.shuffled(using: &random).prefix(min(max(points / 8, 1), 64))
    var stepped: [Trial.Stop] = []
    if aborted.count > 1 {
      for _ in 0..<min(max(points / 16, 1), 8) {
        stepped.append(.steps(UInt64.random(in: 1..<UInt64(aborted.count), using: &random)))
      }
    }
    return Array(first.prefix(points)) + Array(repeated) + stepped
  }

  /// Bytes of a slab of objects of `size`.
  private static func slabBytes(_ size: Int) throws -> Int {
    var configuration = HeapConfiguration()
    configuration.windowBytes = Preparation.windowBytes
    let heap = try Heap.create(configuration)
    guard let block = heap.allocate(size: size) else { throw Exit.failed("no memory") }
    let bytes = heap.committedBytes
    heap.deallocate(block, size: size)
    _ = heap.destroy()
    return bytes
  }
}

/// A small generator with a seed (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }
}
