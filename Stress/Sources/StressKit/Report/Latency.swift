import Foundation
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
    /// How many calls took how long: four buckets to a doubling of the nanoseconds, empty ones left out.
    var buckets: [Bucket] = []

    struct Bucket: Codable, Equatable, Sendable {
      /// Nanoseconds, up to the next quarter of a doubling.
      var from: Double
      var count: UInt64
    }

    init(_ histogram: Histogram<UInt64>) {
      count = histogram.totalCount
      p50 = count == 0 ? 0 : histogram.valueAtPercentile(50)
      p99 = count == 0 ? 0 : histogram.valueAtPercentile(99)
      p9999 = count == 0 ? 0 : histogram.valueAtPercentile(99.99)
      max = count == 0 ? 0 : histogram.maxRecorded
      var counts: [Int: UInt64] = [:]
      for step in histogram.recordedValues() {
        counts[Self.bucket(step.value), default: 0] += UInt64(step.count)
      }
      buckets = counts.sorted { $0.key < $1.key }.map { Bucket(from: exp2(Double($0.key) / 4), count: $0.value) }
    }

    /// The number of the quarter doubling that holds `nanoseconds`.
    static func bucket(_ nanoseconds: UInt64) -> Int {
      Int((log2(Double(Swift.max(nanoseconds, 1))) * 4 + 1e-9).rounded(.down))
    }
  }
}
