/// Since when a block has had free frames that the operating system could have back. Milliseconds, in 32 bits.
///
///     clean ──freed──▶ fresh ──seen(now)──▶ since(now) ──(old enough)──▶ clean
///                        ◀──────freed──────────┘
///
/// A free does not read the clock: it marks the block fresh, and the first purge that finds it so writes the time.
/// The age that a purge sees is therefore never more than the true one.
struct BlockAge: Equatable, SharedValue {
  var bits: UInt32

  @inline(__always)
  init(bits: UInt32) { self.bits = bits }

  static var clean: BlockAge { BlockAge(bits: 0) }
  static var fresh: BlockAge { BlockAge(bits: 1) }

  /// The two lowest times are lent to the states above.
  @inline(__always)
  static func since(_ now: UInt64) -> BlockAge { BlockAge(bits: Swift.max(2, UInt32(truncatingIfNeeded: now))) }

  /// The time from which the age counts, where there is one yet.
  @inline(__always)
  func seen(_ now: UInt64) -> BlockAge? { self == .fresh ? .since(now) : nil }

  /// Whether the block has lain for `milliseconds`. The difference is taken modulo 2^32, 49 days.
  @inline(__always)
  func isOlder(than milliseconds: UInt64, now: UInt64) -> Bool {
    if self == .clean { return false }
    if milliseconds == 0 { return true }
    if self == .fresh { return false }
    return UInt64(UInt32(truncatingIfNeeded: now) &- bits) >= milliseconds
  }
}
