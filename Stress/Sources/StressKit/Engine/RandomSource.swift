/// xoshiro256** (Blackman and Vigna), seeded through splitmix64.
///
/// Each worker has its own, made of the run's seed, the scenario and the worker's number, and draws the same numbers for
/// the same step whatever the allocator answers: that makes the choices of a run repeatable.
struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  init(seed: UInt64, stream: UInt64) {
    var mixer = seed &+ stream &* 0xD1B5_4A32_D192_ED03
    func next() -> UInt64 {
      mixer &+= 0x9E37_79B9_7F4A_7C15
      var value = mixer
      value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
      return value ^ value >> 31
    }
    state = (next(), next(), next(), next())
  }

  mutating func next() -> UInt64 {
    let result = (state.1 &* 5).rotated(left: 7) &* 9
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = state.3.rotated(left: 45)
    return result
  }

  /// Uniform enough in 0 ..< bound (bias below bound / 2^32). One draw, always.
  @inline(__always)
  mutating func below(_ bound: Int) -> Int {
    Int(((next() >> 32) &* UInt64(truncatingIfNeeded: bound)) >> 32)
  }

  /// True once in `n` times, on average.
  mutating func once(in n: Int) -> Bool { below(n) == 0 }

  /// What has been drawn so far, as one number: equal for equal choices.
  var fingerprint: UInt64 {
    state.0 ^ state.1.rotated(left: 16) ^ state.2.rotated(left: 32) ^ state.3.rotated(left: 48)
  }
}

extension UInt64 {
  fileprivate func rotated(left count: UInt64) -> UInt64 { self << count | self >> (64 - count) }
}
