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

  /// `values` over `others`, round by round; `nil` where there are none.
  init?(_ values: [Double], over others: [Double]) {
    let ratios = zip(values, others).filter { $1 > 0 }.map { $0 / $1 }
    if ratios.isEmpty { return nil }
    self.init(ratios)
  }
}

/// One contender's figures in one row.
struct Entry: Codable {
  let contender: String
  let isPeer: Bool
  /// Round by round.
  let values: [Double]
  let spread: Spread
  /// To each peer.
  var ratios: [String: Spread] = [:]
  /// To the best peer.
  var ofBest: Spread?
}

/// One figure of one workload, of every contender.
struct Row: Codable {
  let family, workload: String
  let figure: Figure
  var entries: [Entry]
  /// The peer with the least median.
  let best: String?

  var title: String { figure.name.isEmpty ? workload : "\(workload): \(figure.name)" }

  init(_ family: String, _ workload: String, _ figure: Figure, _ figures: [(contender: Contender, values: [Double])]) {
    self.family = family
    self.workload = workload
    self.figure = figure
    entries = figures.map {
      Entry(contender: $0.contender.name, isPeer: $0.contender.isPeer, values: $0.values, spread: Spread($0.values))
    }
    let peers = entries.filter(\.isPeer)
    best = peers.min { $0.spread.median < $1.spread.median }?.contender
    for index in entries.indices {
      let values = entries[index].values
      for peer in peers where peer.contender != entries[index].contender {
        entries[index].ratios[peer.contender] = Spread(values, over: peer.values)
      }
      entries[index].ofBest = best.flatMap { self[$0] }.flatMap { Spread(values, over: $0.values) }
    }
  }

  subscript(contender: String) -> Entry? { entries.first { $0.contender == contender } }
}

/// The figures of a run, round by round.
struct Measurements {
  private(set) var rows: [Row] = []
  private let contenders: [Contender]
  private let all: [PlannedWorkload]

  /// `all`: every workload that there is, measured or not.
  init(_ contenders: [Contender], of all: [PlannedWorkload]) {
    self.contenders = contenders
    self.all = all
  }

  /// `values`: by contender, by round, by figure.
  mutating func add(_ workload: PlannedWorkload, _ values: [String: [[Double]]]) {
    for (index, figure) in workload.figures.enumerated() {
      add(workload.family, workload.name, figure) { contender in
        values[contender.name]?.map { $0[index] / figure.scale }
      }
    }
  }

  /// Adds what follows from other rows: what a process takes above the C library's, and the means.
  mutating func derive() {
    if let smallest = rows.first(where: { $0.workload == "smallest" }), let base = smallest[Contender.glibc.name] {
      // At least a page: what is below that is noise.
      add("memory", "smallest", Figure("resident above the C library's:MiB")) { contender in
        guard contender != .glibc, let own = smallest[contender.name] else { return nil }
        return zip(own.values, base.values).map { max($0 - $1, 1 / 256) }
      }
    }
    for family in Replay.families {
      addMean(family, "\(family)-all", of: "time", in: [family], unit: "ms")
    }
    addMean("concurrent", "one-and-many-threads-all", of: "", in: ["micro", "concurrent"], unit: "")
    addMean("programs", "program-all", of: "time", in: ["programs"], unit: "ms")
    addMean("programs", "program-all", of: "CPU time", in: ["programs"], unit: "ms")
    addMean("programs", "program-all", of: "peak", in: ["programs"], unit: "MiB")
  }

  /// Adds the geometric mean of a figure over all workloads of some families, where all were measured.
  private mutating func addMean(
    _ family: String, _ name: String, of figure: String, in families: [String], unit: String
  ) {
    let workloads = all.filter { families.contains($0.family) && $0.figures.contains { $0.name == figure } }
    let rows = rows.filter { row in
      row.figure.name == figure && workloads.contains { $0.family == row.family && $0.name == row.workload }
    }
    if rows.isEmpty || rows.count < workloads.count { return }
    add(family, name, Figure("geometric mean of \(figure.isEmpty ? "time" : figure):\(unit)")) { contender in
      let values = rows.compactMap { $0[contender.name]?.values }
      guard values.count == rows.count, let rounds = values.map(\.count).min() else { return nil }
      return (0..<rounds).map { round in values.reduce(1) { $0 * $1[round].root(rows.count) } }
    }
  }

  private mutating func add(
    _ family: String, _ workload: String, _ figure: Figure, _ values: (Contender) -> [Double]?
  ) {
    let figures = contenders.compactMap { contender in values(contender).map { (contender, $0) } }
    if !figures.isEmpty { rows.append(Row(family, workload, figure, figures)) }
  }
}
