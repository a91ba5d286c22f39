/// The layout of a number of `Element`s, which remembers the number.
///
/// Use it where a collection keeps its capacity: the count is checked once, and the size follows without a check.
/// Use ``Layout/array(of:count:)`` where only the bytes matter.
///
/// Thread-safety: Concurrent; a value.
///
/// ## Invariants
/// `count` is at least 0, and `count` elements fit in `Int.max` bytes.
public struct ArrayLayout<Element: ~Copyable>: Sendable {
  /// The number of elements.
  public let count: Int

  /// The layout of `count` elements.
  ///
  /// - Throws: ``LayoutError/negativeSize`` if the count is negative, ``LayoutError/overflow`` if they do not fit.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init(count: Int) throws(LayoutError) {
    _ = try Layout.array(of: Element.self, count: count)
    self.count = count
  }

  /// The layout of a count that is known to fit; checked in debug builds only.
  ///
  /// > Safety: `count` is not negative, and that many elements fit in `Int.max` bytes.
  @unsafe @inlinable @inline(__always)
  public init(uncheckedCount count: Int) {
    assert((try? ArrayLayout(count: count)) != nil, "ArrayLayout: the elements must fit in Int.max bytes")
    self.count = count
  }

  /// The layout of no elements.
  @inlinable @inline(__always)
  public static var empty: ArrayLayout {
    // SAFETY: nothing fits everywhere.
    unsafe ArrayLayout(uncheckedCount: 0)
  }

  /// The number of bytes: strides, or 0 for elements without size.
  @inlinable @inline(__always)
  public var size: Int { count &* Layout.arrayStride(of: Element.self) }

  /// Whether there are no elements. Elements without size still count.
  @inlinable @inline(__always)
  public var isEmpty: Bool { count == 0 }

  /// The size and alignment.
  @inlinable @inline(__always)
  public var layout: Layout {
    // SAFETY: the invariant says that the size, a multiple of the alignment, is at most `Int.max`.
    unsafe Layout(uncheckedSize: size, alignment: MemoryLayout<Element>.alignment)
  }
}

extension ArrayLayout: Equatable where Element: ~Copyable {}
extension ArrayLayout: Hashable where Element: ~Copyable {}
