/// How an allocation may behave when memory is short, and what the block must be.
///
/// Unknown bits are kept; the empty set is legal and means `.noWait`.
public struct AllocFlags: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32

  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Every usable byte of the block is zero, also beyond the size asked for.
  public static let zero = AllocFlags(rawValue: 1 << 0)
  /// The call may reclaim: trim caches, drain CPUs, purge, and try once more.
  public static let reclaim = AllocFlags(rawValue: 1 << 1)
  /// The call may take the last frames, which the watermark holds back.
  public static let useReserve = AllocFlags(rawValue: 1 << 2)
  /// The named node or an error: no fallback to another.
  public static let thisNode = AllocFlags(rawValue: 1 << 3)
  /// A failure is not reported to the failure hook.
  public static let noWarn = AllocFlags(rawValue: 1 << 4)
  /// Reclaim more than once before giving up. Without effect unless `.reclaim` is set.
  public static let retryMayFail = AllocFlags(rawValue: 1 << 5)
  /// Do not retry after a reclaim that released nothing. Without effect unless `.reclaim` is set.
  public static let noRetry = AllocFlags(rawValue: 1 << 6)

  /// Never reclaims, never makes a system call that waits; likely to fail when memory is short.
  public static let noWait: AllocFlags = []
  /// As `.noWait`, and may take the reserve.
  public static let atomic: AllocFlags = [.useReserve]
  /// The usual choice: may reclaim.
  public static let kernel: AllocFlags = [.reclaim]
}
