/// SplitMix64: small, and the same everywhere.
public struct Random: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// 0 ..< `limit`.
  public mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

/// The seed of a random test: `KALLOC_SEED` of the environment to replay one, else a new one.
public struct Seed: Sendable, CustomStringConvertible {
  public let value: UInt64

  public init(_ environment: String?) {
    value = environment.flatMap { UInt64($0) } ?? UInt64.random(in: 1...UInt64.max)
  }

  /// A generator of its own for each of several threads.
  public func random(_ stream: Int = 0) -> Random { Random(seed: value &+ UInt64(stream) &* 0xd1b5_4a32_d192_ed03) }

  /// What a failed expectation prints.
  public var description: String { "to replay: KALLOC_SEED=\(value)" }
}
