/// For how long the stacks of a region have shown the same tops, as far as looks tell. Milliseconds, in 32 bits.
///
///     bits 0…31    a sum of the tops, as the last look saw it
///     bits 32…63   when a look saw it first
///
/// Whoever looks, and however often: the time counts from the first look that saw the tops as they are, so that callers with clocks of
/// their own do not shorten each other's.
struct Stillness: Equatable {
  var bits: UInt64

  @inline(__always)
  init(bits: UInt64) { self.bits = bits }

  @inline(__always)
  init(sum: UInt32, since now: UInt64) {
    bits = UInt64(sum) | UInt64(UInt32(truncatingIfNeeded: now)) &<< 32
  }

  /// The state after a look at `now`; `nil`: nothing has moved.
  @inline(__always)
  func seen(_ sum: UInt32, now: UInt64) -> Stillness? {
    sum == UInt32(truncatingIfNeeded: bits) ? nil : Stillness(sum: sum, since: now)
  }

  /// Whether it has lasted for `milliseconds`. The difference is taken modulo 2^32, 49 days less a minute.
  @inline(__always)
  func hasLasted(_ milliseconds: UInt64, now: UInt64) -> Bool {
    let age = UInt32(truncatingIfNeeded: now) &- UInt32(truncatingIfNeeded: bits &>> 32)
    // Another's look may have come between this one's clock and its state, and have seen it later: no age then.
    return age < 0xffff_0000 && UInt64(age) >= milliseconds
  }
}
