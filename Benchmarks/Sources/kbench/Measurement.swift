// Figures and what is said about them. A round measures each contender once, one after the other; a ratio is taken within a
// round, between runs that are a fraction of a second apart, and its median over the rounds is what counts.

/// Median, least and most of some figures.
struct Spread: Codable {
  let median, least, most: Double

  init(_ values: [Double]) {
    precondition(!values.isEmpty)
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    least = sorted[0]
    most = sorted[sorted.count - 1]
  }
}

/// What a ratio must not exceed.
struct Target: Codable {
  let workload, contender, baseline: String
  let atMost: Double

  static let all = [
    Target(workload: "pair", contender: "kalloc inlined", baseline: "glibc", atMost: 0.35),
    Target(workload: "pair", contender: "kalloc called", baseline: "glibc", atMost: 0.6),
    Target(workload: "random-900", contender: "kalloc called", baseline: "glibc", atMost: 0.5),
    Target(workload: "producer-consumer", contender: "kalloc called", baseline: "glibc", atMost: 0.2),
  ]
}

/// One contender in one workload.
struct Row: Codable {
  let workload, contender: String
  let nanoseconds: Spread
  /// To the C library's figure of the same round.
  let ratio: Spread
  let target: Double?
  let met: Bool?
}

/// The figures of a run, round by round.
struct Measurements {
  private var figures: [String: [String: [Double]]] = [:]

  mutating func note(_ workload: String, _ contender: String, _ nanoseconds: Double) {
    figures[workload, default: [:]][contender, default: []].append(nanoseconds)
  }

  func row(_ workload: String, _ contender: String, baseline: String) -> Row {
    let own = figures[workload]?[contender] ?? []
    let base = figures[workload]?[baseline] ?? []
    let ratio = Spread(zip(own, base).map { $0 / $1 })
    let target = Target.all.first {
      $0.workload == workload && $0.contender == contender && $0.baseline == baseline
    }
    return Row(
      workload: workload, contender: contender, nanoseconds: Spread(own), ratio: ratio, target: target?.atMost,
      met: target.map { ratio.median <= $0.atMost })
  }
}
