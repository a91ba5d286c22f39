import Foundation

/// One trace on several allocators: medians of interleaved rounds.
struct ReplayReport: Codable, Sendable {
  struct Line: Codable, Sendable {
    var allocator: String
    var nanoseconds: UInt64
    var cpuNanoseconds: UInt64
    var peakBytes: UInt64
  }

  var trace: String
  var header: TraceHeader
  var rounds: Int
  var serial: Bool
  var lines: [Line] = []
  var failures: [String] = []

  mutating func add(_ results: [ReplayResult]) {
    guard let first = results.first else { return }
    func median(_ values: [UInt64]) -> UInt64 { values.sorted()[values.count / 2] }
    lines.append(
      Line(
        allocator: first.allocator, nanoseconds: median(results.map(\.nanoseconds)),
        cpuNanoseconds: median(results.map(\.cpuNanoseconds)), peakBytes: median(results.map(\.peakBytes))))
    failures += results.compactMap(\.failure).map { "\(first.allocator): \($0)" }
  }

  var text: String {
    var text = "\(trace): \(header.description)\n"
    for line in lines {
      text += "  " + line.allocator.padded(10) + ((Double(line.nanoseconds) / 1e6).fixed(2) + " ms").rightAligned(14)
      text += ((Double(line.nanoseconds) / Double(max(1, header.events))).fixed(1) + " ns/event").rightAligned(18)
      text += "   peak " + line.peakBytes.bytes.rightAligned(10) + "\n"
    }
    if lines.count == 2, lines[1].nanoseconds > 0, lines[1].peakBytes > 0 {
      let time = Double(lines[0].nanoseconds) / Double(lines[1].nanoseconds)
      let memory = Double(lines[0].peakBytes) / Double(lines[1].peakBytes)
      text +=
        "  \(lines[0].allocator) : \(lines[1].allocator)   time \(time.fixed(2)), peak memory \(memory.fixed(2))\n"
    }
    return text
  }

  static func json(_ reports: [Self]) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(reports) + Data("\n".utf8)
  }
}

extension TraceHeader {
  /// On one line.
  var description: String {
    "\(events.grouped) events, \(threads) \(threads == 1 ? "thread" : "threads"), "
      + "at most \(peakLiveBlocks.grouped) blocks and \(UInt64(peakLiveBytes).bytes) live"
      + (isCut ? ", cut at its bound" : isFinished ? "" : ", without an end") + "\n  of: \(note)"
  }
}
