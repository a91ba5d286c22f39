/// Why an element could not be put between others.
public enum InsertError: Error, Equatable, Hashable, Sendable {
  /// The index is below 0 or above the count. Found before anything else is tried.
  case indexOutOfRange
  /// There was no memory for one more.
  case allocation(AllocError)
}
