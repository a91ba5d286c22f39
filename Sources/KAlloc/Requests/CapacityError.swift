/// Why a collection refused an element without asking for memory.
///
/// Not an ``AllocError``: a full vector is not out of memory, and a wrong index stays wrong however much there is.
public enum CapacityError: Error, Equatable, Hashable, Sendable {
  /// Every place is taken, and the operation does not allocate.
  case full
  /// The index is below 0 or past the end.
  case indexOutOfRange
}

/// An index that names no element.
public enum IndexError: Error, Equatable, Hashable, Sendable {
  /// The index is below 0, or not below the count.
  case outOfRange
}
