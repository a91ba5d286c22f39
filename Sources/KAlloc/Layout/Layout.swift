// Size and alignment of a block of memory.
//
//   0                        size        padded size
//   |-------- bytes ----------|-- padding --|
//   ^ address is a multiple of `alignment`
//
// A layout that exists is valid: its arithmetic was checked once, where it was made, and no allocator checks it again.
// Unlike in Rust and C, a Swift type's size is *not* a multiple of its alignment: `{Int64, Int8}` has size 9,
// alignment 8 and stride 16. One value takes its size, an array takes strides; an empty type has size 0 and stride 1,
// and an array of it takes nothing. The other rules are those of Rust's `core::alloc::Layout`.

/// The size and alignment, in bytes, of a block of memory.
///
/// Use it to say what you need to an ``Allocator``, and say the same when you give the block back.
///
/// ```swift
/// let header = try Layout(size: 24, alignment: 8)
/// let body = try Layout.array(of: Int32.self, count: 100)
/// let (whole, bodyOffset) = try header.extend(body)   // size 424, alignment 8, body at 24
/// ```
///
/// Thread-safety: Concurrent; a value.
///
/// ## Invariants
/// `alignment` is a power of two of at least 1, `size` is at least 0, and `size` rounded up to `alignment` is at most
/// `Int.max`.
public struct Layout: Hashable, Sendable {
  /// The number of bytes. Need not be a multiple of the alignment, and may be smaller than it.
  public let size: Int
  /// The alignment in bytes: a power of two.
  public let alignment: Int

  /// A layout of `size` bytes at a multiple of `alignment`.
  ///
  /// - Throws: ``LayoutError`` if the alignment is no power of two, the size is negative, or the size rounded up to the
  ///   alignment exceeds `Int.max`.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init(size: Int, alignment: Int) throws(LayoutError) {
    guard Layout.isValidAlignment(alignment) else { throw .invalidAlignment }
    guard size >= 0 else { throw .negativeSize }
    guard size <= Layout.largestSize(alignment: alignment) else { throw .overflow }
    // SAFETY: just checked.
    unsafe self.init(uncheckedSize: size, alignment: alignment)
  }

  /// A layout from numbers that are known to make one; checked in debug builds only.
  ///
  /// > Safety: The alignment is a power of two of at least 1, the size is not negative, and the size rounded up to the
  /// > alignment is at most `Int.max`. Allocators compute with these numbers unchecked.
  @unsafe @inlinable @inline(__always)
  public init(uncheckedSize size: Int, alignment: Int) {
    assert(Layout.isValidAlignment(alignment), "Layout: the alignment must be a power of two")
    assert(size >= 0 && size <= Layout.largestSize(alignment: alignment), "Layout: the size must fit once padded")
    self.size = size
    self.alignment = alignment
  }

  /// Whether `alignment` is a power of two of at least 1.
  @inlinable @inline(__always)
  static func isValidAlignment(_ alignment: Int) -> Bool {
    alignment > 0 && alignment & (alignment &- 1) == 0
  }

  /// The largest multiple of `alignment` that an `Int` holds.
  @inlinable @inline(__always)
  static func largestSize(alignment: Int) -> Int {
    Int.max &- (alignment &- 1)
  }
}

extension Layout {
  /// The layout of one value: its size, not its stride.
  ///
  /// - Complexity: O(1); a constant for a concrete type.
  @inlinable @inline(__always)
  public static func of<Value: ~Copyable>(_ type: Value.Type) -> Layout {
    // SAFETY: the compiler's sizes and alignments of types satisfy the invariants.
    unsafe Layout(uncheckedSize: MemoryLayout<Value>.size, alignment: MemoryLayout<Value>.alignment)
  }

  /// The layout of `count` values side by side: `count` strides, or nothing at all if a value has no size.
  ///
  /// - Throws: ``LayoutError/negativeSize`` if the count is negative, ``LayoutError/overflow`` if that many do not fit
  ///   in `Int.max` bytes.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public static func array<Value: ~Copyable>(of type: Value.Type, count: Int) throws(LayoutError) -> Layout {
    guard count >= 0 else { throw .negativeSize }
    let (size, overflow) = count.multipliedReportingOverflow(by: Layout.arrayStride(of: Value.self))
    guard !overflow else { throw .overflow }
    return try Layout(size: size, alignment: MemoryLayout<Value>.alignment)
  }

  /// The bytes from one element of an array to the next: the stride, but 0 for a type without size.
  @inlinable @inline(__always)
  static func arrayStride<Value: ~Copyable>(of type: Value.Type) -> Int {
    MemoryLayout<Value>.size == 0 ? 0 : MemoryLayout<Value>.stride
  }
}

extension Layout {
  /// The address that stands for a block of no bytes: not null, well aligned, never to be read or written.
  ///
  /// Its value is the alignment. It is no mark of emptiness: a block with bytes may have any address, so tell an
  /// empty block by its size.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public var dangling: UnsafeMutableRawPointer {
    // SAFETY: the alignment is at least 1, so the pointer is not null. Nothing is accessed.
    unsafe UnsafeMutableRawPointer(bitPattern: alignment).unsafelyUnwrapped
  }

  /// What an allocator answers to a request for no bytes: ``dangling``, count 0.
  @inlinable @inline(__always)
  public var emptyBlock: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: dangling, count: 0)
  }
}
