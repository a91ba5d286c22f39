/// For how long a block has had free frames that the operating system could have back. Milliseconds, in 32 bits.
///
///     unseen ──seen(now)──▶ since(now)
///       ▲                      │
///       └───────freed──────────┘
///
/// A free does not read the clock: it forgets the time, and the first purge that comes by writes one. The age that a purge
/// sees is therefore never more than the true one. Whether there is anything to give back, the block's hint says.
struct BlockAge: Equatable {
  var bits: UInt32

  @inline(__always)
  init(bits: UInt32) { self.bits = bits }

  static var unseen: BlockAge { BlockAge(bits: 0) }

  /// The time 0 is lent to the state above.
  @inline(__always)
  static func since(_ now: UInt64) -> BlockAge { BlockAge(bits: Swift.max(1, UInt32(truncatingIfNeeded: now))) }

  /// The time from which the age counts, where there is none yet.
  @inline(__always)
  func seen(_ now: UInt64) -> BlockAge? { self == .unseen ? .since(now) : nil }

  /// Whether the block has lain for `milliseconds`. The difference is taken modulo 2^32, 49 days.
  @inline(__always)
  func isOlder(than milliseconds: UInt64, now: UInt64) -> Bool {
    if milliseconds == 0 { return true }
    if self == .unseen { return false }
    return UInt64(UInt32(truncatingIfNeeded: now) &- bits) >= milliseconds
  }
}
