extension Report {
  /// The report as it is printed: plain text, no line wider than 100 columns but those that name a failure.
  var text: String {
    var lines: [String] = []
    func line(_ key: String, _ value: String) { lines.append("  " + key.padded(20) + value) }
    lines.append("kstress: \(verdict)")
    line(
      "allocator", allocator + (traffic.map { " (mode \($0.mode), \($0.nodes) node\($0.nodes == 1 ? "" : "s"))" } ?? "")
    )
    line("seed", "\(options.seed)")
    line("time", "\(seconds.fixed(1)) s, CPU \(cpuSeconds.fixed(1)) s")
    line("operations", "\(books.operations.grouped), \(Int(operationsPerSecond).grouped) a second, checks included")
    line("peak resident", "\(peakResidentBytes.bytes), the run's own books included")
    if let committedAtStart, let committedAtEnd {
      line("committed", "\(UInt64(committedAtStart).bytes) at the start, \(UInt64(committedAtEnd).bytes) at the end")
    }
    if let soak { line("memory at rest", soak.text) }
    lines.append(contentsOf: [
      "",
      "  " + "scenario".padded(18) + "workers phases".padded(16) + "operations".rightAligned(14)
        + "a second".rightAligned(14) + "refused".rightAligned(10) + "   choices",
    ])
    for result in scenarios {
      let counts = "\(result.workers)".rightAligned(7) + "\(result.phases)".rightAligned(7)
      lines.append(
        "  " + result.name.padded(18) + counts.padded(16) + result.books.operations.grouped.rightAligned(14)
          + Int(result.operationsPerSecond).grouped.rightAligned(14) + result.books.refused.grouped.rightAligned(10)
          + (result.workers == 0 ? "   not offered" : "   " + (result.choices ?? "–")))
    }
    lines.append(contentsOf: latencyLines)
    lines.append(contentsOf: trafficLines)
    lines.append(contentsOf: ["", "  verified"])
    line("  blocks", "\(books.blocksChecked.grouped) on their way back, \(blocksCheckedAtRest.grouped) at rest")
    line("  bytes", "\(books.bytesChecked.grouped) compared, \(books.zeroChecks.grouped) zeroed blocks looked through")
    let overlaps = failures.count { $0.kind == .overlap }
    line("  overlap", "\((books.allocated + books.reallocated).grouped) blocks claimed, \(overlaps) overlaps")
    line(
      "  conservation",
      "allocated \(books.allocated.grouped) − freed \(books.freed.grouped) = \(books.live.grouped)"
        + " live; \(quiescentPoints) points at rest")
    line("  structures", "\(validations) validations")
    lines.append(contentsOf: failureLines)
    return lines.joined(separator: "\n") + "\n"
  }

  private var verdict: String {
    switch outcome {
    case .passed: "passed"
    case .interrupted: "interrupted; what was run passed"
    case .failed: "FAILED, \(failureCount) failures"
    }
  }

  private var latencyLines: [String] {
    guard let latency else { return [] }
    var lines = [
      "",
      "  " + "latency, ns".padded(18) + "calls".rightAligned(16)
        + ["p50", "p99", "p99.99", "max"].map { $0.rightAligned(12) }.joined(),
    ]
    for (name, summary) in [
      ("allocate", latency.allocate), ("free", latency.free), ("reallocate", latency.reallocate),
    ] {
      lines.append(
        "  " + name.padded(18) + Int(summary.count).grouped.rightAligned(16)
          + [summary.p50, summary.p99, summary.p9999, summary.max].map { Int($0).grouped.rightAligned(12) }.joined())
    }
    return lines + ["  (one reading of the clock, \(latency.clock) ns, is contained)"]
  }

  private var trafficLines: [String] {
    guard let traffic else { return [] }
    var lines = ["", "  traffic"]
    func line(_ key: String, _ value: String) { lines.append("  " + key.padded(20) + value) }
    if let magazineHitRate {
      line("  magazines", "\((magazineHitRate * 100).fixed(3)) % hit, \(traffic.magazineMisses.grouped) misses")
    }
    line("  depot", "\(traffic.depotTakes.grouped) magazines taken, \(traffic.depotPuts.grouped) put")
    line(
      "  slabs",
      "\(traffic.slabTakes.grouped) objects taken, \(traffic.slabPuts.grouped) put back,"
        + " \(traffic.slabsCreated.grouped) slabs made, \(traffic.slabsReleased.grouped) released")
    line("  aborts", traffic.aborts.grouped)
    return lines
  }

  /// What, where, the seed, and the command that does it again. Empty where nothing failed.
  var failureLines: [String] {
    guard !failures.isEmpty else { return [] }
    var lines = [""]
    for failure in failures {
      lines.append("FAILED \(failure.kind.rawValue): \(failure.what)")
      lines.append("  in \(failure.place); seed \(options.seed)")
    }
    if failureCount > failures.count { lines.append("  and \(failureCount - failures.count) more") }
    return lines + ["  again: \(command)"]
  }
}
