/// What the workers of a run share.
final class RunContext<Tested: AllocatorUnderTest>: Sendable {
  let allocator: Tested
  let options: RunOptions
  let shadow = ShadowMap()
  let control = Control()
  let failures = FailureLog()

  init(_ allocator: Tested, _ options: RunOptions) {
    self.allocator = allocator
    self.options = options
  }

  deinit { shadow.unmap() }

  /// Notes what is wrong and stops the run.
  func fail(_ kind: Failure.Kind, _ what: String, scenario: String, phase: Int, worker: Int? = nil) {
    failures.add(Failure(kind: kind, what: what, scenario: scenario, phase: phase, worker: worker))
    control.stop()
  }
}

/// How a run is to be made.
struct RunOptions: Codable, Equatable, Sendable {
  var allocator = "kalloc"
  var scenarios: [String] = ScenarioName.allCases.map(\.rawValue)
  var seconds = 60.0
  var threads = 4
  var seed: UInt64 = 1
  /// Steps that each worker makes in each phase, instead of running for `seconds`.
  var operations: Int?
  var mode: String?
  var nodes: Int?
  /// The hard limit on the heap's committed bytes.
  var limit: Int?
  /// One request in this many is refused by the harness, at random points.
  var refuse: Int?
  /// Hours of a soak: the scenarios in rounds, instead of once in `seconds`.
  var hours: Double?
  /// Rounds of a soak, instead of `hours`.
  var rounds: Int?

  /// Whether all forms of allocating and freeing are used, or only the usual ones (in a replay).
  var mixesForms = true

  var isSoak: Bool { hours != nil || rounds != nil }

  /// The command that makes this run again.
  var command: String {
    var words = ["kstress run --seed \(seed) --threads \(threads)"]
    if let operations {
      words.append("--operations \(operations)")
    } else {
      words.append(hours.map { "--hours \($0.brief)" } ?? "--seconds \(seconds.brief)")
    }
    if allocator != "kalloc" { words.append("--allocator \(allocator)") }
    if scenarios.count < ScenarioName.allCases.count { words.append("--scenario \(scenarios.joined(separator: ","))") }
    if let mode { words.append("--mode \(mode)") }
    if let nodes { words.append("--nodes \(nodes)") }
    if let limit { words.append("--limit \(limit)") }
    if let refuse { words.append("--refuse \(refuse)") }
    return words.joined(separator: " ")
  }
}

extension Double {
  /// Without a fraction where there is none.
  var brief: String { self == rounded() && abs(self) < 1e15 ? "\(Int(self))" : "\(self)" }
}
