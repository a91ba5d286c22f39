import Histogram

/// How long the allocator's calls took, in nanoseconds, including one reading of the clock.
///
/// One per worker, so that recording shares nothing; merged when the workers are at rest. Two significant digits.
struct Latency: Sendable {
  enum Call: CaseIterable, Sendable { case allocate, free, reallocate }

  private(set) var allocate = Latency.empty
  private(set) var free = Latency.empty
  private(set) var reallocate = Latency.empty

  /// Longer calls count as this long.
  static let longest: UInt64 = 100_000_000_000
  private static let empty = Histogram<UInt64>(highestTrackableValue: longest, numberOfSignificantValueDigits: .two)

  @inline(__always)
  mutating func record(_ call: Call, _ nanoseconds: UInt64) {
    let value = min(nanoseconds, Self.longest)
    switch call {
    case .allocate: allocate.record(value)
    case .free: free.record(value)
    case .reallocate: reallocate.record(value)
    }
  }

  mutating func merge(_ other: Latency) {
    allocate.add(other.allocate)
    free.add(other.free)
    reallocate.add(other.reallocate)
  }

  struct Summary: Codable, Equatable, Sendable {
    var count: UInt64
    var p50: UInt64
    var p99: UInt64
    var p9999: UInt64
    var max: UInt64

    init(_ histogram: Histogram<UInt64>) {
      count = histogram.totalCount
      p50 = count == 0 ? 0 : histogram.valueAtPercentile(50)
      p99 = count == 0 ? 0 : histogram.valueAtPercentile(99)
      p9999 = count == 0 ? 0 : histogram.valueAtPercentile(99.99)
      max = count == 0 ? 0 : histogram.maxRecorded
    }
  }
}
