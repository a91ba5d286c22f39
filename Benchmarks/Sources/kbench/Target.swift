import Foundation

/// What a ratio must not exceed.
struct Target {
  let measure: String
  let workload: String
  var figure = ""
  var contender = Contender.called
  /// `nil`: the best peer; otherwise KAlloc, called, in another workload.
  var yardstick: String?
  /// Of the peers, this one.
  var peer: String?
  let atMost: Double

  static let all = [
    Target(measure: "64 B pair, inlined", workload: "pair-64", contender: .inlined, atMost: 0.45),
    Target(measure: "64 B pair, called", workload: "pair-64", atMost: 0.75),
    Target(
      measure: "64 B pair, called, to two calls that do nothing", workload: "pair-64", yardstick: "empty-calls",
      atMost: 1.1),
    Target(measure: "900 freed at random, called", workload: "random-900", atMost: 0.7),
    Target(measure: "900 of mixed sizes freed at random", workload: "mixed-900", atMost: 0.75),
    Target(measure: "producer → consumer", workload: "producer-consumer-1x", atMost: 0.7),
    Target(measure: "exchange among 64 threads", workload: "exchange-64", atMost: 0.8),
    Target(
      measure: "exchange among 64 threads, to one without allocator", workload: "exchange-64",
      yardstick: "empty-exchange-64", atMost: 1.1),
    Target(measure: "larson-style server", workload: "larson-1x", atMost: 0.9),
    Target(measure: "32 KiB pair, untouched", workload: "pair-32KiB", atMost: 0.9),
    Target(measure: "1 MiB pair, untouched", workload: "pair-1MiB", atMost: 0.9),
    Target(measure: "realloc growth to 100 MiB", workload: "realloc-to-100MiB", atMost: 1),
    Target(measure: "p99.99 at 2× cores load", workload: "latency-2x", figure: "p99.99", atMost: 0.8),
    Target(
      measure: "resident/live after ten phases", workload: "phases", figure: "resident/live at the end", atMost: 0.95),
    Target(
      measure: "RSS of the smallest process, above the C library's", workload: "smallest",
      figure: "resident above the C library's", atMost: 1),
    Target(measure: "order-0 page pair, to a 64 B pair", workload: "pages-0-pair", yardstick: "pair-64", atMost: 1.3),
    Target(
      measure: "10,000 order-0 pages freed at random, to a 64 B pair", workload: "pages-0-random-10000",
      yardstick: "pair-64", atMost: 10),
    Target(
      measure: "order-0 page pair, 64 threads to one per core", workload: "pages-0-pair-64",
      yardstick: "pages-0-pair-1x", atMost: 1.5),
    Target(measure: "4 KiB-aligned 4 KiB pair", workload: "aligned-pair-4KiB", atMost: 0.7),
    Target(measure: "4 KiB-aligned 4 KiB churn", workload: "aligned-churn-4KiB", atMost: 0.7),
    Target(
      measure: "replayed traces, geometric mean of time", workload: "replay-all",
      figure: "geometric mean of time", contender: .inlined, atMost: 0.85),
    Target(
      measure: "replayed traces, to replays without an allocator", workload: "replay-all",
      figure: "geometric mean of time", contender: .inlined, yardstick: "empty-replay-all", atMost: 1.25),
    Target(
      measure: "libkalloc.so: all micro and concurrent rows, geometric mean", workload: "one-and-many-threads-all",
      figure: "geometric mean of time", contender: .preloaded, atMost: 0.9),
    Target(
      measure: "libkalloc.so: real programs, geometric mean of time", workload: "program-all",
      figure: "geometric mean of time", contender: .preloaded, atMost: 1),
    Target(
      measure: "libkalloc.so: real programs, geometric mean of the peak", workload: "program-all",
      figure: "geometric mean of peak", contender: .preloaded, atMost: 1.05),
    Target(
      measure: "the same to jemalloc", workload: "program-all", figure: "geometric mean of peak",
      contender: .preloaded, peer: "jemalloc", atMost: 0.95),
  ]

  /// The workloads that the targets are about, but for the means over whole families.
  static func needs(_ workload: PlannedWorkload) -> Bool {
    Replay.families.contains(workload.family)
      || all.contains { $0.workload == workload.name || $0.yardstick == workload.name }
  }

  /// What came of it; `nil` where it was not measured.
  func outcome(_ rows: [Row]) -> Outcome? {
    guard let row = rows.first(where: { $0.workload == workload && $0.figure.name == figure }),
      let own = row[contender.name]
    else { return nil }
    let ratio: Spread?
    let against: String
    if let yardstick {
      let other = rows.first { $0.workload == yardstick }?[contender.name]
      ratio = other.flatMap { Spread(own.values, over: $0.values) }
      against = "itself"
    } else if let peer {
      ratio = own.ratios[peer]
      against = peer
    } else {
      ratio = own.ofBest
      against = row.best ?? ""
    }
    return ratio.map {
      Outcome(measure: measure, contender: contender.name, against: against, atMost: atMost, ratio: $0)
    }
  }
}

/// A target and the figure that was measured for it.
struct Outcome: Codable {
  let measure, contender: String
  /// The best peer's name.
  let against: String
  let atMost: Double
  let ratio: Spread
  var isMet: Bool { ratio.median <= atMost }
}

extension Double {
  func root(_ degree: Int) -> Double { pow(self, 1 / Double(degree)) }
}
