/// How an allocation may behave when memory is short, and what the block must be.
///
/// Unknown bits are kept; the empty set is legal and means `.noWait`.
///
/// The flags are computed, not stored: a stored global of another module is a call on the hit path.
public struct AllocFlags: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32

  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Every usable byte of the block is zero, also beyond the size asked for.
  @inlinable @inline(__always)
  public static var zero: AllocFlags { AllocFlags(rawValue: 1 << 0) }
  /// The call may reclaim: trim caches, drain CPUs, purge, and try once more.
  @inlinable @inline(__always)
  public static var reclaim: AllocFlags { AllocFlags(rawValue: 1 << 1) }
  /// The call may take the last frames, which the watermark holds back.
  @inlinable @inline(__always)
  public static var useReserve: AllocFlags { AllocFlags(rawValue: 1 << 2) }
  /// The named node or an error: no fallback to another.
  @inlinable @inline(__always)
  public static var thisNode: AllocFlags { AllocFlags(rawValue: 1 << 3) }
  /// A failure is not reported to the failure hook.
  @inlinable @inline(__always)
  public static var noWarn: AllocFlags { AllocFlags(rawValue: 1 << 4) }
  /// Reclaim more than once before giving up. Without effect unless `.reclaim` is set.
  @inlinable @inline(__always)
  public static var retryMayFail: AllocFlags { AllocFlags(rawValue: 1 << 5) }
  /// Do not retry after a reclaim that released nothing. Without effect unless `.reclaim` is set.
  @inlinable @inline(__always)
  public static var noRetry: AllocFlags { AllocFlags(rawValue: 1 << 6) }

  /// Never reclaims, never makes a system call that waits; likely to fail when memory is short.
  ///
  /// At a heap's limit it fails although caches may hold enough: what lies on CPUs' stacks and in depots, large blocks among it,
  /// counts as committed, and only a request of the same size finds it, on its own CPU or in its node's depot. Taking it back is no
  /// matter of a few steps: other CPUs' stacks need a barrier, which may stop for milliseconds; what the own stacks and
  /// depots hold, up to tens of MiB, is returned one by one; and frames that become free may be given back with a system call. Who must
  /// be served so calls `Heap.drain` while waiting is allowed, or leaves that room below the limit.
  @inlinable @inline(__always)
  public static var noWait: AllocFlags { AllocFlags(rawValue: 0) }
  /// As `.noWait`, also in what it does not take back at a limit, and may take the reserve.
  @inlinable @inline(__always)
  public static var atomic: AllocFlags { useReserve }
  /// The usual choice: may reclaim.
  @inlinable @inline(__always)
  public static var kernel: AllocFlags { reclaim }

  // The protocol's own forms are generic: in a debug build their first use makes metadata under a lock, which a signal
  // handler must not wait for.

  @inlinable @inline(__always)
  public func contains(_ member: AllocFlags) -> Bool { rawValue & member.rawValue == member.rawValue }

  @inlinable @inline(__always)
  public func union(_ other: AllocFlags) -> AllocFlags { AllocFlags(rawValue: rawValue | other.rawValue) }

  @inlinable @inline(__always)
  public func subtracting(_ other: AllocFlags) -> AllocFlags { AllocFlags(rawValue: rawValue & ~other.rawValue) }
}
