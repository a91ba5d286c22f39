import CStress
import Foundation

/// What a run found: printed as text, written as JSON.
struct Report: Codable, Sendable {
  struct ScenarioResult: Codable, Sendable {
    var name: String
    var workers: Int
    var phases: Int
    var seconds: Double
    var books: Ledger
    /// One number for all choices of all workers: equal for equal seeds. Only where the number of steps was given.
    var choices: String?
    var operationsPerSecond: Double { seconds > 0 ? Double(books.operations) / seconds : 0 }
  }

  struct Latencies: Codable, Sendable {
    var allocate: Latency.Summary
    var free: Latency.Summary
    var reallocate: Latency.Summary
    /// What one reading of the clock costs: contained in each of the above.
    var clock: UInt64
  }

  enum Outcome: String, Codable, Sendable { case passed, failed, interrupted }

  var outcome = Outcome.passed
  var command: String
  var options: RunOptions
  var allocator: String
  var seconds = 0.0
  var cpuSeconds = 0.0
  var books = Ledger()
  var scenarios: [ScenarioResult] = []
  var latency: Latencies?
  var traffic: AllocatorTraffic?
  /// Operations that the magazines served, of all; derived from the misses.
  var magazineHitRate: Double?
  var quiescentPoints = 0
  var validations = 0
  var blocksCheckedAtRest = 0
  var committedAtStart: Int?
  var committedAtEnd: Int?
  var bytesTrimmed = 0
  var peakResidentBytes: UInt64 = 0
  /// What was seen while it ran, and on what it ran; for the page and the JSON report.
  var samples: [Sample]?
  var machine: Machine?
  /// Memory over the rounds of a soak.
  var soak: Soak?
  var failures: [Failure] = []
  var failureCount = 0

  init(options: RunOptions, allocator: String) {
    self.options = options
    self.allocator = allocator
    command = options.command
  }

  var operationsPerSecond: Double { seconds > 0 ? Double(books.operations) / seconds : 0 }
  var exitStatus: Int32 {
    switch outcome {
    case .passed: 0
    case .failed: 1
    case .interrupted: 130
    }
  }

  mutating func add(
    _ name: ScenarioName, _ ledgers: [Ledger], phases: Int, seconds: Double, choices: [UInt64]?
  ) {
    let sum = ledgers.reduce(Ledger(), +)
    var digest: String?
    if options.operations != nil, let choices {
      let mixed = choices.reduce(UInt64(0)) { ($0 ^ $1) &* 0x100_0000_01B3 &+ $0 >> 7 }
      digest = String(mixed, radix: 16)
    }
    books = books + sum
    // A soak makes each scenario many times: one line for all of them.
    if let index = scenarios.firstIndex(where: { $0.name == name.rawValue }) {
      scenarios[index].phases += phases
      scenarios[index].seconds += seconds
      scenarios[index].books = scenarios[index].books + sum
      scenarios[index].choices = nil
      return
    }
    scenarios.append(
      ScenarioResult(
        name: name.rawValue, workers: ledgers.count, phases: phases, seconds: seconds, books: sum, choices: digest))
  }

  mutating func finish(latency merged: Latency, failures log: FailureLog, interrupted: Bool) {
    latency = Latencies(
      allocate: .init(merged.allocate), free: .init(merged.free), reallocate: .init(merged.reallocate),
      clock: Self.clockCost())
    peakResidentBytes = cs_peak_resident_bytes()
    failures = log.all
    failureCount = log.total
    outcome = failureCount > 0 ? .failed : interrupted ? .interrupted : .passed
  }

  mutating func note(traffic: AllocatorTraffic) {
    self.traffic = traffic
    let served = books.allocated + books.freed
    if served > 0, !traffic.mode.contains("shared") {
      magazineHitRate = max(0, 1 - Double(traffic.magazineMisses) / Double(served))
    }
  }

  /// The median of a thousand readings, back to back.
  private static func clockCost() -> UInt64 {
    var costs: [UInt64] = []
    for _ in 0..<1001 {
      let start = cs_now()
      costs.append(cs_now() - start)
    }
    return costs.sorted()[500]
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}
