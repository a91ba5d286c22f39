// Layouts made of layouts: records, arrays, padding, larger alignments.

extension Layout {
  /// The number of unused bytes after this layout's bytes before a multiple of `alignment`.
  ///
  /// - Throws: ``LayoutError/invalidAlignment`` if `alignment` is no power of two; ``LayoutError/overflow`` if size and
  ///   padding together exceed `Int.max`.
  /// - Complexity: O(1)
  @inlinable
  public func padding(for alignment: Int) throws(LayoutError) -> Int {
    guard Layout.isValidAlignment(alignment) else { throw .invalidAlignment }
    guard size <= Layout.largestSize(alignment: alignment) else { throw .overflow }
    return Layout.rounded(size, up: alignment) &- size
  }

  /// This layout with its size rounded up to its alignment: what one element of an array of it takes.
  ///
  /// Cannot fail: every layout fits once padded.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public func padToAlignment() -> Layout {
    // SAFETY: the invariants say that the rounded size is at most `Int.max`.
    unsafe Layout(uncheckedSize: Layout.rounded(size, up: alignment), alignment: alignment)
  }

  /// This layout at an alignment of at least `alignment`; the size stays: `(16, 8)` raised to 32 is `(16, 32)`.
  ///
  /// - Throws: ``LayoutError/invalidAlignment`` if `alignment` is no power of two; ``LayoutError/overflow`` if the size
  ///   no longer fits once padded.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public func raising(alignment: Int) throws(LayoutError) -> Layout {
    guard Layout.isValidAlignment(alignment) else { throw .invalidAlignment }
    return try Layout(size: size, alignment: Swift.max(self.alignment, alignment))
  }

  /// This layout followed by `next`, as fields follow each other in a C struct, without padding at the end.
  ///
  /// Call ``padToAlignment()`` on the last result for the C struct's size.
  ///
  /// - Returns: The layout of both, and the offset in bytes of `next` within it.
  /// - Throws: ``LayoutError/overflow`` if both do not fit in `Int.max` bytes.
  /// - Complexity: O(1)
  @inlinable
  public func extend(_ next: Layout) throws(LayoutError) -> (layout: Layout, offset: Int) {
    let offset = size &+ (try padding(for: next.alignment))
    let (end, overflow) = offset.addingReportingOverflow(next.size)
    guard !overflow else { throw .overflow }
    return (try Layout(size: end, alignment: Swift.max(alignment, next.alignment)), offset)
  }

  /// This layout followed at once by `next`, whose alignment is ignored.
  ///
  /// - Returns: The layout of both with this layout's alignment, and the offset in bytes of `next`: this layout's size.
  /// - Throws: ``LayoutError/overflow`` if both do not fit in `Int.max` bytes.
  /// - Complexity: O(1)
  @inlinable
  public func extendPacked(_ next: Layout) throws(LayoutError) -> (layout: Layout, offset: Int) {
    let (end, overflow) = size.addingReportingOverflow(next.size)
    guard !overflow else { throw .overflow }
    return (try Layout(size: end, alignment: alignment), size)
  }

  /// `count` of this layout, each padded to the alignment, the last one too: 3 of `(6, 4)` are `(24, 4)`, stride 8.
  ///
  /// - Returns: The layout of all, and the bytes from one to the next.
  /// - Throws: ``LayoutError/negativeSize`` for a negative count, ``LayoutError/overflow`` if they do not fit.
  /// - Complexity: O(1)
  @inlinable
  public func `repeat`(_ count: Int) throws(LayoutError) -> (layout: Layout, stride: Int) {
    let element = padToAlignment()
    return (try element.repeatPacked(count), element.size)
  }

  /// `count` of this layout without padding between them; only the first is sure to be aligned.
  ///
  /// - Throws: ``LayoutError/negativeSize`` for a negative count, ``LayoutError/overflow`` if they do not fit.
  /// - Complexity: O(1)
  @inlinable
  public func repeatPacked(_ count: Int) throws(LayoutError) -> Layout {
    guard count >= 0 else { throw .negativeSize }
    let (total, overflow) = size.multipliedReportingOverflow(by: count)
    guard !overflow else { throw .overflow }
    return try Layout(size: total, alignment: alignment)
  }

  /// `size` rounded up to the power of two `alignment`; the caller knows that it fits.
  @inlinable @inline(__always)
  static func rounded(_ size: Int, up alignment: Int) -> Int {
    (size &+ (alignment &- 1)) & ~(alignment &- 1)
  }
}
