// Size classes: multiples of 16 bytes up to 128, then four per doubling up to 32 KiB.
//
//   index   0   1   2 …   7 |   8    9   10   11 |  12 …  |  39
//   bytes  16  32  48 … 128 | 160  192  224  256 | 320 …  | 32768
//
// The class is looked up in a constant table (`ka_stack_table`), one entry for each 16 bytes of size: no branch that mixed
// sizes would mispredict, and for a constant size the compiler reads the table itself. An entry is what the hot paths need,
// where the stack of the class stands in a CPU's region; the index follows from it. At most 20 % of a block is unused
// above 64 bytes. A class size that is a power of two is naturally aligned; any other is aligned to the largest
// power of two that divides it. The spacing is jemalloc's (four classes per doubling).

import KAllocAtomics

/// One of the sizes that slabs are cut into. One word wide.
///
/// ## Invariants
/// `stack` is the place of one of the first stacks of a CPU region: `KA_STACKS_OFFSET + index * KA_STACK_BYTES`.
public struct SizeClass: Equatable, Hashable, Sendable {
  /// The byte in a CPU region at which the stack of this class stands.
  @usableFromInline let stack: UInt64

  /// Its place among the classes, the smallest first.
  @inlinable @inline(__always)
  public var index: Int {
    Int(truncatingIfNeeded: (stack &- UInt64(KA_STACKS_OFFSET)) / UInt64(KA_STACK_BYTES))
  }

  /// How many classes there are.
  @inlinable @inline(__always) public static var count: Int { 40 }
  /// The largest object that comes from a slab, in bytes.
  @inlinable @inline(__always) public static var maximumBytes: Int { 32768 }
  /// The largest alignment that a class serves, in bytes.
  @inlinable @inline(__always) public static var maximumAlignment: Int { 4096 }

  @inlinable @inline(__always)
  public init(index: Int) {
    stack = UInt64(truncatingIfNeeded: Int(KA_STACKS_OFFSET) &+ index &* Int(KA_STACK_BYTES))
  }

  /// The smallest class that holds `bytes`. `bytes` is in 1 ... `maximumBytes`. O(1).
  @inlinable @inline(__always)
  public init(holding bytes: Int) { stack = ka_stack_holding(UInt64(truncatingIfNeeded: bytes &- 1)) }

  /// The class that serves `size` bytes on an `alignment` boundary, or `nil` where none does: the size is then below
  /// one or too large, or the alignment is below one or above `maximumAlignment`. `alignment` is a power of two. O(1).
  @inlinable @inline(__always)
  public init?(size: Int, alignment: Int) {
    let mask = UInt64(bitPattern: Int64(truncatingIfNeeded: alignment &- 1))
    // `size` rounded up to `alignment`, less one. A class that holds a multiple of `alignment` is itself one: see the test
    // that shows it for all. Without a branch, and of a constant alignment of up to 16 nothing is left.
    let last = UInt64(bitPattern: Int64(truncatingIfNeeded: size &- 1)) | mask
    // Eight times the largest alignment is the largest size, so one comparison sees both. What is below one wraps.
    guard (last | mask &<< 3) < UInt64(SizeClass.maximumBytes) else { return nil }
    stack = ka_stack_holding(last)
  }

  /// The size of an object of this class.
  @inlinable @inline(__always)
  public var bytes: Int {
    if index < 8 { return (index &+ 1) &* 16 }
    let step = index &- 8
    return (5 &+ step & 3) &<< (5 &+ step &>> 2)
  }
}
