/// Why an allocation did not happen.
///
/// One trivial value without a payload: throwing it allocates nothing. Thrown typed everywhere.
/// A thrown error means that nothing has changed: no block was taken, moved or freed.
public enum AllocError: Error, Equatable, Hashable, Sendable {
  /// No memory: the operating system, the regions or the node have no run of that size left.
  case outOfMemory
  /// The size or the count is negative or overflows `Int` once rounded.
  case invalidLayout
  /// The alignment is no power of two, or larger than this allocator serves.
  case unsupportedAlignment
  /// The size is valid but larger than this allocator can ever serve.
  case sizeTooLarge
  /// The call was told not to wait, and only waiting would have helped.
  case wouldBlock
  /// The node named with `thisNode` has no memory left, or does not exist.
  case nodeUnavailable
  /// The heap's or the group's limit on bytes is reached.
  case limitExceeded
  /// A fault plan made this call fail.
  case injected
}
