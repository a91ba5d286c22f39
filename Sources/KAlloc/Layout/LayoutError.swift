/// Why a size and an alignment make no layout.
///
/// One trivial value; throwing it allocates nothing. ``AllocError/init(_:)`` turns it into the error that an
/// allocation throws for the same reason.
public enum LayoutError: Error, Equatable, Hashable, Sendable {
  /// The alignment is not a power of two of at least 1.
  case invalidAlignment
  /// The size or the count is below zero.
  case negativeSize
  /// The size, rounded up to the alignment, is larger than `Int.max`.
  case overflow
}

extension AllocError {
  /// The allocation error for a layout that cannot exist.
  @inlinable
  public init(_ error: LayoutError) {
    switch error {
    case .invalidAlignment: self = .unsupportedAlignment
    case .negativeSize, .overflow: self = .invalidLayout
    }
  }
}
