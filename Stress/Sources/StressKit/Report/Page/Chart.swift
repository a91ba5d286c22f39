import Foundation

// Line charts and bars as SVG text. A chart is 420 units wide, about as wide as it is shown on a phone and in a column of the
// page, so that its text keeps its size. Colours and strokes are the page's style sheet's: `s0` … `s4` are series, `dashed` are
// those that use a colour again.

/// One series of a line chart.
struct Series {
  var name: String
  var points: [(x: Double, y: Double)]
}

/// A chart with a linear or logarithmic horizontal axis and a vertical one that begins at 0 (or at `low`).
struct Chart {
  var label: String
  var series: [Series]
  var x: (Double) -> String = { "\($0.tick) s" }
  var y: (Double) -> String
  var isLogarithmic = false
  /// Where the vertical axis begins and ends; by the data where `nil`.
  var low = 0.0
  var high: Double?
  /// Whether the area below the first series is filled.
  var fills = false
  /// Vertical lines with a word each.
  var marks: [(x: Double, name: String)] = []

  static let colours = 5
  private static func style(_ series: Int) -> String { "s\(series % colours)" + (series < colours ? "" : " dashed") }

  static let width = 420.0
  static let height = 210.0
  private static let left = 54.0
  private static let right = 10.0
  private static let top = 14.0
  private static let bottom = 26.0

  var svg: String {
    let points = series.flatMap(\.points)
    guard points.count > 1 else { return "<p class=\"none\">too short a run to draw</p>" }
    let ends = Ends(points, low: low, high: high, isLogarithmic: isLogarithmic)
    var text =
      "<svg viewBox=\"0 0 \(Self.width.brief) \(Self.height.brief)\" role=\"img\" aria-label=\"\(label.escaped)\">"
    for tick in Self.ticks(from: ends.low, to: ends.high) {
      let place = ends.y(tick).fixed(1)
      text +=
        "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" y1=\"\(place)\" y2=\"\(place)\"/>"
      text +=
        "<text class=\"tick\" x=\"\(Self.left - 6)\" y=\"\(place)\" dy=\"4\" text-anchor=\"end\">\(y(tick).escaped)</text>"
    }
    for tick in isLogarithmic ? ends.decades : Self.ticks(from: ends.first, to: ends.last) {
      let place = ends.x(tick)
      // It would run into the one before it.
      if isLogarithmic, place > Self.width - 40 { continue }
      let anchor = place > Self.width - 40 ? "end" : place < Self.left + 12 ? "start" : "middle"
      text += "<text class=\"tick\" x=\"\(place.fixed(1))\" y=\"\(Self.height - 8)\" text-anchor=\"\(anchor)\">"
      text += "\(x(tick).escaped)</text>"
    }
    for (index, one) in series.enumerated() where !one.points.isEmpty {
      let path = one.points.map { "\(ends.x($0.x).fixed(1)),\(ends.y($0.y).fixed(1))" }.joined(separator: " ")
      if fills, index == 0 {
        let (first, last) = (ends.x(one.points[0].x).fixed(1), ends.x(one.points[one.points.count - 1].x).fixed(1))
        let base = ends.y(ends.low).fixed(1)
        text += "<polygon class=\"area s\(index)\" points=\"\(first),\(base) \(path) \(last),\(base)\"/>"
      }
      text +=
        "<polyline class=\"line \(Self.style(index))\" points=\"\(path)\"><title>\(one.name.escaped)</title></polyline>"
    }
    for (index, mark) in marks.enumerated() {
      let place = ends.x(mark.x)
      let nearEnd = place > Self.width - 90
      text += "<line class=\"mark\" x1=\"\(place.fixed(1))\" x2=\"\(place.fixed(1))\" y1=\"\(Self.top)\""
      text += " y2=\"\(Self.height - Self.bottom)\"/>"
      text +=
        "<text class=\"tick\" x=\"\((place + (nearEnd ? -4 : 4)).fixed(1))\" y=\"\(Self.top + 10 + Double(index) * 14)\""
      text += " text-anchor=\"\(nearEnd ? "end" : "start")\">\(mark.name.escaped)</text>"
    }
    return text + "</svg>" + legend
  }

  private var legend: String {
    guard series.count > 1 else { return "" }
    let items = series.enumerated().map { "<li><i class=\"\(Self.style($0))\"></i>\($1.name.escaped)</li>" }
    return "<ul class=\"legend\">\(items.joined())</ul>"
  }

  /// Three to six round numbers that span the range.
  static func ticks(from low: Double, to high: Double) -> [Double] {
    guard high > low else { return [low] }
    let rough = (high - low) / 4
    let power = pow(10, log10(rough).rounded(.down))
    let step = [1, 2, 5, 10].map { $0 * power }.first { (high - low) / $0 <= 6.001 } ?? power * 10
    return Array(stride(from: (low / step).rounded(.up) * step, through: high + step * 1e-9, by: step))
  }

  /// How data map to the page.
  private struct Ends {
    let first, last, low, high: Double
    let isLogarithmic: Bool

    init(_ points: [(x: Double, y: Double)], low: Double, high: Double?, isLogarithmic: Bool) {
      self.isLogarithmic = isLogarithmic
      first = points.map(\.x).min() ?? 0
      last = max(points.map(\.x).max() ?? 1, first + 1e-9)
      self.low = low
      self.high = max(high ?? (points.map(\.y).max() ?? 1) * 1.06, low + 1e-9)
    }

    func x(_ value: Double) -> Double {
      let share =
        isLogarithmic ? log(max(value, first) / first) / log(last / first) : (value - first) / (last - first)
      return Chart.left + share * (Chart.width - Chart.left - Chart.right)
    }

    func y(_ value: Double) -> Double {
      let share = (min(max(value, low), high) - low) / (high - low)
      return Chart.height - Chart.bottom - share * (Chart.height - Chart.top - Chart.bottom)
    }

    var decades: [Double] {
      (0...12).map { pow(10, Double($0)) }.filter { $0 >= first * 0.999 && $0 <= last * 1.001 }
    }
  }
}

extension String {
  /// As text or an attribute's value in HTML.
  var escaped: String {
    var result = ""
    for character in unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}

extension Double {
  /// On an axis: without the rounding of sums of tenths.
  var tick: String { ((self * 1e6).rounded() / 1e6).brief }
}
