import Foundation

// Charts as inline SVG: dots on a line for what is compared with the best peer, curves for what grows.

/// A line for each row, a dot for each contender, its place the ratio to the best peer; KAlloc's dots are larger, and have
/// their spread.
struct DotPlot {
  let rows: [Row]
  let names: [String]

  private static let left = 250.0
  private static let right = 970.0
  private static let step = 22.0
  /// Ratios beyond these stand at the edge.
  private static let least = 0.1
  private static let most = 10.0

  var svg: String {
    let rows = rows.filter { $0.best != nil }
    if rows.isEmpty { return "" }
    let bottom = 24 + Double(rows.count) * Self.step
    var parts: [String] = []
    for tick in [0.1, 0.2, 0.5, 1, 2, 5, 10] {
      let x = place(tick)
      parts.append("<line class=\"\(tick == 1 ? "one" : "grid")\" x1=\"\(x)\" x2=\"\(x)\" y1=\"8\" y2=\"\(bottom)\"/>")
      parts.append("<text class=\"soft\" x=\"\(x)\" y=\"\(bottom + 16)\" text-anchor=\"middle\">\(label(tick))</text>")
    }
    for (index, row) in rows.enumerated() { parts += line(row, y: 20 + Double(index) * Self.step) }
    parts.append(
      "<text class=\"soft\" x=\"\(Self.right)\" y=\"\(bottom + 32)\" text-anchor=\"end\">ratio to the best peer; left is better</text>"
    )
    return """
      <svg viewBox="0 0 1000 \(bottom + 40)" role="img" aria-label="Ratios to the best peer">
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  private func line(_ row: Row, y: Double) -> [String] {
    var parts = ["<text x=\"\(Self.left - 14)\" y=\"\(y + 4)\" text-anchor=\"end\">\(escaped(short(row.title)))</text>"]
    for entry in row.entries.sorted(by: { $0.isPeer && !$1.isPeer }) {
      guard let ratio = entry.ofBest else { continue }
      let style = colour(entry.contender)
      if !entry.isPeer {
        parts.append(
          "<line class=\"\(style)\" x1=\"\(place(ratio.least))\" x2=\"\(place(ratio.most))\" y1=\"\(y)\" y2=\"\(y)\"/>")
      }
      let unit = row.figure.unit
      parts.append(
        """
        <circle class="\(style)" cx="\(place(ratio.median))" cy="\(y)" r="\(entry.isPeer ? 3.5 : 5.5)"><title>\
        \(escaped("\(row.title), \(entry.contender): \(range(entry.spread)) \(unit), of \(row.best ?? ""): \(range(ratio))"))\
        </title></circle>
        """)
    }
    return parts
  }

  private func short(_ title: String) -> String { title.count <= 38 ? title : title.prefix(37) + "…" }

  private func label(_ tick: Double) -> String {
    let edge = tick == Self.least ? "≤ " : tick == Self.most ? "≥ " : ""
    return edge + (tick < 1 ? String(format: "%.1f", tick) : String(format: "%.0f", tick))
  }

  private func place(_ ratio: Double) -> Double {
    let bounded = min(max(ratio, Self.least), Self.most)
    let share = log(bounded / Self.least) / log(Self.most / Self.least)
    return ((Self.left + share * (Self.right - Self.left)) * 10).rounded() / 10
  }
}

/// A curve for each contender over the amount, both on logarithmic scales.
struct CurvePlot {
  let title: String
  let rows: [Row]
  let names: [String]

  private static let (left, right, top, bottom) = (70.0, 970.0, 34.0, 270.0)

  var svg: String {
    let amounts = rows.map { Double($0.workload.drop { $0 != "/" }.dropFirst()) ?? 1 }
    let times = rows.flatMap { $0.entries.map(\.spread.median) }
    guard let first = amounts.first, let last = amounts.last, let least = times.min(), let most = times.max() else {
      return ""
    }
    let low = pow(10, floor(log10(max(least, 0.1))))
    let high = pow(10, ceil(log10(max(most, low * 10))))
    func x(_ amount: Double) -> Double {
      Self.left + (last > first ? log(amount / first) / log(last / first) : 0) * (Self.right - Self.left)
    }
    func y(_ time: Double) -> Double {
      Self.bottom - log(max(time, low) / low) / log(high / low) * (Self.bottom - Self.top)
    }
    var parts = ["<text x=\"\(Self.left)\" y=\"18\">ns per operation over \(escaped(title))</text>"]
    var tick = low
    while tick <= high * 1.01 {
      let place = y(tick)
      let label = "\(Int(max(tick, 1)))</text>"
      parts.append("<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.right)\" y1=\"\(place)\" y2=\"\(place)\"/>")
      parts.append("<text class=\"soft\" x=\"\(Self.left - 8)\" y=\"\(place + 4)\" text-anchor=\"end\">\(label)")
      tick *= 10
    }
    for amount in amounts {
      let label = "\(grouped(amount))</text>"
      parts.append("<text class=\"soft\" x=\"\(x(amount))\" y=\"\(Self.bottom + 18)\" text-anchor=\"middle\">\(label)")
    }
    for name in names {
      let points = zip(amounts, rows).compactMap { amount, row in
        row[name].map { (x(amount), y($0.spread.median), $0) }
      }
      let path = points.map { "\($0.0),\($0.1)" }.joined(separator: " ")
      parts.append("<polyline class=\"\(colour(name))\" points=\"\(path)\"/>")
      for (x, y, entry) in points {
        parts.append(
          "<circle class=\"\(colour(name))\" cx=\"\(x)\" cy=\"\(y)\" r=\"3.5\"><title>\(escaped(name)): "
            + "\(range(entry.spread)) ns</title></circle>")
      }
    }
    return """
      <svg viewBox="0 0 1000 300" role="img" aria-label="\(escaped(title))">
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  private func grouped(_ amount: Double) -> String {
    amount >= 1e6 ? "\(Int(amount / 1e6)) M" : amount >= 1e4 ? "\(Int(amount / 1e3)) k" : "\(Int(amount))"
  }
}
