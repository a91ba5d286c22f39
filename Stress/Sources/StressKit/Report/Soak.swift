import Foundation

// Does memory stay flat? A least-squares line through the resident bytes at the ends of the rounds:
//
//     resident(t) = a + b · t + noise         b: the slope
//
// The noise of neighbouring rounds is alike (a thread of Dispatch that has not ended yet, a free page that the C library
// holds), so that there is less evidence in n samples than n independent ones would hold: with a correlation r > 0 of
// neighbouring residuals they count as n (1 − r) / (1 + r), and the standard error of b is widened accordingly. The slope
// is significant where it is above 0 with 99.9 % confidence (one-sided, Student's t), and the line rises by more than
// 256 KiB over the measured time: what is less may be a table that fills once. In simulations of 60 rounds without a
// trend, less than one in a thousand is found significant at r = 0, and one in two hundred at r = 0.7.
//
// The first quarter of the rounds is left out: there memory grows to its working size.

/// The memory of a soak. Its samples are one for each round.
struct Soak: Codable, Equatable, Sendable {
  struct Sample: Codable, Equatable, Sendable {
    var seconds: Double
    var operations: Int
    /// Bytes, with everything given back and trimmed.
    var resident: Int
    var committed: Int
  }

  struct Growth: Codable, Equatable, Sendable {
    /// KiB.
    var perHour: Double
    var perMillionOperations: Double
    /// The least that the slope is, with 99.9 % confidence, in KiB per hour.
    var atLeastPerHour: Double
    /// What the line rises by over the measured rounds, in KiB.
    var total: Double
    var rounds: Int
    var isSignificant: Bool
  }

  var samples: [Sample] = []
  /// `nil` where the rounds were too few to tell.
  private(set) var growth: Growth?

  static let fewestRounds = 8
  static let tolerated = 256.0

  /// Fits the line.
  mutating func judge() {
    let judged = samples.dropFirst(samples.count / 4)
    guard judged.count >= Self.fewestRounds else { return growth = nil }
    let kibibytes = judged.map { Double($0.resident) / 1024 }
    guard let byTime = Line(judged.map { $0.seconds / 3600 }, kibibytes),
      let byWork = Line(judged.map { Double($0.operations) / 1e6 }, kibibytes)
    else { return growth = nil }
    let least = byTime.slope - Self.quantile(degrees: byTime.degrees) * byTime.error
    let total = byTime.slope * (judged.last!.seconds - judged.first!.seconds) / 3600
    growth = Growth(
      perHour: byTime.slope, perMillionOperations: byWork.slope, atLeastPerHour: least, total: total,
      rounds: judged.count, isSignificant: least > 0 && total > Self.tolerated)
  }

  var text: String {
    guard let last = samples.last else { return "no round was finished" }
    let now = "\(UInt64(last.resident).bytes) resident after \(samples.count) rounds"
    guard let growth else { return now + ", too few to tell a slope" }
    return now + ", slope \(growth.perHour.fixed(1)) KiB an hour (at least \(growth.atLeastPerHour.fixed(1)),"
      + " 99.9 %), \(growth.perMillionOperations.fixed(3)) KiB a million operations: "
      + (growth.isSignificant ? "grows" : "flat")
  }

  /// Student's t that is exceeded once in a thousand, for `degrees` of freedom of at least 4 (Cornish and Fisher).
  static func quantile(degrees n: Double) -> Double {
    let z = 3.0902
    let z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n)
      + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n)
  }

  /// A least-squares line.
  struct Line {
    var slope: Double
    /// The standard error of the slope, widened where neighbouring residuals are alike.
    var error: Double
    /// Degrees of freedom: those of as many independent samples as these are worth.
    var degrees: Double

    /// `nil` where `x` does not differ.
    init?(_ x: [Double], _ y: [Double]) {
      let count = Double(x.count)
      let (meanX, meanY) = (x.reduce(0, +) / count, y.reduce(0, +) / count)
      let spread = x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
      guard spread > 0, count > 2 else { return nil }
      let slope = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) } / spread
      let residuals = zip(x, y).map { $1 - meanY - slope * ($0 - meanX) }
      let squares = residuals.reduce(0) { $0 + $1 * $1 }
      let products = zip(residuals, residuals.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }
      // Residuals of a fitted line look less alike than the noise is: by about (2 + 4 r) / n.
      let found = squares > 0 ? products / squares : 0
      let alike = min(0.95, max(0, found + (2 + 4 * found) / count))
      let worth = (1 - alike) / (1 + alike)
      self.slope = slope
      error = (squares / (count - 2) / spread / worth).squareRoot()
      degrees = max(4, count * worth - 2)
    }
  }
}
