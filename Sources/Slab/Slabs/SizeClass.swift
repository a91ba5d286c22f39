// Size classes: multiples of 16 bytes up to 128, then four per doubling up to 32 KiB.
//
//   index   0   1   2 …   7 |   8    9   10   11 |  12 …  |  39
//   bytes  16  32  48 … 128 | 160  192  224  256 | 320 …  | 32768
//
// The class is looked up in a constant table (`ka_class_table`), one byte for each 16 bytes of size: no branch that mixed
// sizes would mispredict, and for a constant size the compiler reads the table itself. At most 20 % of a block is unused
// above 64 bytes. A class size that is a power of two is naturally aligned; any other is aligned to the largest
// power of two that divides it. The spacing is jemalloc's (four classes per doubling).

import KAllocAtomics

/// One of the sizes that slabs are cut into. One word wide.
public struct SizeClass: Equatable, Hashable, Sendable {
  public let index: Int

  /// How many classes there are.
  @inlinable @inline(__always) public static var count: Int { 40 }
  /// The largest object that comes from a slab, in bytes.
  @inlinable @inline(__always) public static var maximumBytes: Int { 32768 }
  /// The largest alignment that a class serves, in bytes.
  @inlinable @inline(__always) public static var maximumAlignment: Int { 4096 }

  @inlinable @inline(__always)
  public init(index: Int) { self.index = index }

  /// The smallest class that holds `bytes`. `bytes` is in 1 ... `maximumBytes`. O(1).
  @inlinable @inline(__always)
  public init(holding bytes: Int) {
    index = Int(truncatingIfNeeded: ka_class_index(UInt64(truncatingIfNeeded: bytes)))
  }

  /// The class that serves `size` bytes on an `alignment` boundary, or `nil` where none does: the size is then below
  /// one or too large, or the alignment is above `maximumAlignment`. `alignment` is a power of two. O(1).
  @inlinable @inline(__always)
  public init?(size: Int, alignment: Int) {
    // Negative sizes and zero wrap to values above every class.
    guard UInt(bitPattern: size &- 1) < UInt(bitPattern: SizeClass.maximumBytes) else { return nil }
    if alignment <= 16 {
      self.init(holding: size)
    } else {
      guard alignment <= SizeClass.maximumAlignment else { return nil }
      // A class that holds a multiple of `alignment` is itself one: see the test that shows it for all.
      let padded = (size &+ alignment &- 1) & ~(alignment &- 1)
      guard padded <= SizeClass.maximumBytes else { return nil }
      self.init(holding: padded)
    }
  }

  /// The size of an object of this class.
  @inlinable @inline(__always)
  public var bytes: Int {
    if index < 8 { return (index &+ 1) &* 16 }
    let step = index &- 8
    return (5 &+ step & 3) &<< (5 &+ step &>> 2)
  }
}
