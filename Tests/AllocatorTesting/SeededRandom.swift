// Random choices that can be had again: `KALLOC_SEED=… swift test --filter …`.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// SplitMix64, from the environment's `KALLOC_SEED` or from a seed of its own.
public struct SeededRandom: RandomNumberGenerator {
  public let seed: UInt64
  private var state: UInt64

  public init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  public static func fresh() -> SeededRandom {
    if let text = getenv("KALLOC_SEED"), let seed = UInt64(String(cString: text)) { return SeededRandom(seed: seed) }
    return SeededRandom(seed: .random(in: 0 ... .max))
  }

  /// The line that repeats a run.
  public var replay: String { "repeat with KALLOC_SEED=\(seed)" }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
