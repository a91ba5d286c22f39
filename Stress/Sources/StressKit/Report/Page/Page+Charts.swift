import Foundation

// The graphs of the page.

extension Page {
  private var samples: [Sample] { report.samples ?? [] }

  /// Differences of a count between neighbouring samples, by second, at the time of the later one.
  private func rates(_ count: (Sample) -> Int) -> [(x: Double, y: Double)] {
    zip(samples, samples.dropFirst()).compactMap { early, late in
      let seconds = late.seconds - early.seconds
      guard seconds > 0.01 else { return nil }
      return (late.seconds, max(0, Double(count(late) - count(early))) / seconds)
    }
  }

  var throughput: String {
    let series = Series(name: "operations a second", points: rates(\.operations).map { ($0.x, $0.y / 1e6) })
    let chart = Chart(label: "throughput over time", series: [series], y: { "\($0.tick) M" }, fills: true)
    return card("Throughput", "million operations a second, checks included", chart.svg)
  }

  var memory: String {
    func line(_ name: String, _ bytes: (Sample) -> Int?) -> Series? {
      let points = samples.compactMap { sample in bytes(sample).map { (sample.seconds, Double($0) / 1_048_576) } }
      return points.isEmpty ? nil : Series(name: name, points: points)
    }
    let lines = [
      line("live", \.live), line("committed", \.committed),
      line("resident, the run's own books included") { $0.resident },
    ]
    let chart = Chart(label: "memory over time", series: lines.compactMap(\.self), y: Self.mebibytes)
    return card("Memory", "", chart.svg)
  }

  /// Hits of all operations on a CPU, between neighbouring samples.
  var hitRates: String {
    let cpus = samples.map { min($0.operationsByCPU.count, $0.missesByCPU.count) }.max() ?? 0
    guard cpus > 0 else { return "" }
    func at(_ counts: [Int], _ cpu: Int) -> Int { cpu < counts.count ? counts[cpu] : 0 }
    var series: [Series] = []
    for cpu in 0..<cpus {
      let points = zip(samples, samples.dropFirst()).compactMap { early, late -> (x: Double, y: Double)? in
        let operations = at(late.operationsByCPU, cpu) - at(early.operationsByCPU, cpu)
        let misses = at(late.missesByCPU, cpu) - at(early.missesByCPU, cpu)
        return operations < 1000 ? nil : (late.seconds, 100 * max(0, 1 - Double(misses) / Double(operations)))
      }
      if !points.isEmpty { series.append(Series(name: "CPU \(cpu)", points: points)) }
    }
    let chart = Chart(label: "hit rates of the CPUs' caches", series: series, y: { "\($0.tick) %" }, high: 100)
    let whole = report.magazineHitRate.map { "\(($0 * 100).fixed(3)) % in all" } ?? ""
    return card("Served by the CPU's cache", whole, chart.svg)
  }

  var freePages: String {
    let orders = samples.compactMap { $0.freePagesByOrder?.count }.max() ?? 0
    guard orders > 0 else { return "" }
    let series = (0..<orders).map { order in
      let points = samples.compactMap { sample -> (x: Double, y: Double)? in
        guard let free = sample.freePagesByOrder, order < free.count else { return nil }
        return (sample.seconds, Double(free[order] << order) * 4096 / 1_048_576)
      }
      return Series(name: "order \(order)", points: points)
    }
    let chart = Chart(label: "free pages by order", series: series, y: Self.mebibytes)
    return card("Free pages by order", "memory in free runs of 2^order pages", chart.svg)
  }

  /// One graph for each call: the share of calls by how long they took.
  var latencies: String {
    guard let latency = report.latency else { return "" }
    return [("allocate", latency.allocate), ("free", latency.free), ("reallocate", latency.reallocate)]
      .filter { $0.1.count > 0 }
      .map { name, summary in
        let note =
          "p50 \(Self.time(summary.p50)), p99 \(Self.time(summary.p99)), p99.99 \(Self.time(summary.p9999)), max "
          + Self.time(summary.max)
        return card(name, note, distribution(name, summary))
      }.joined()
  }

  private func distribution(_ name: String, _ summary: Latency.Summary) -> String {
    // As steps: each bucket from its beginning to the next quarter of a doubling.
    let points = summary.buckets.flatMap { bucket -> [(x: Double, y: Double)] in
      let share = 100 * Double(bucket.count) / Double(summary.count)
      return [(bucket.from, share), (bucket.from * exp2(0.25), share)]
    }
    var chart = Chart(
      label: "\(name): share of calls by duration", series: [Series(name: name, points: points)], y: { "\($0.tick) %" }
    )
    chart.x = { Self.time(UInt64($0)) }
    chart.isLogarithmic = true
    chart.fills = true
    chart.marks = [("p50", summary.p50), ("p99", summary.p99), ("p99.99", summary.p9999)].map {
      (Double(max($1, 1)), $0)
    }
    return chart.svg
  }

  static func time(_ nanoseconds: UInt64) -> String {
    let value = Double(nanoseconds)
    func short(_ number: Double) -> String {
      number >= 10 ? "\(Int(number.rounded()))" : "\(Double(number.fixed(1))!.brief)"
    }
    switch nanoseconds {
    case ..<1000: return "\(nanoseconds) ns"
    case ..<1_000_000: return short(value / 1e3) + " µs"
    case ..<1_000_000_000: return short(value / 1e6) + " ms"
    default: return short(value / 1e9) + " s"
    }
  }
}
