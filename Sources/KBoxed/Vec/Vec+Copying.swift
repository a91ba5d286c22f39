// Copies of elements: from sequences and spans, many of one, of the whole vector. Room is made before anything is
// copied, and a failure takes back what was added.

import KAlloc

extension Vec {
  /// Adds copies of a sequence's elements at the end.
  ///
  /// Reserves what the sequence says it has at least, and grows as it turns out to have more.
  ///
  /// - Throws: `AllocError`, as ``append(_:flags:)``. The vector holds what it held, its capacity may be larger.
  /// - Complexity: amortised O(number of elements)
  @inlinable
  public mutating func append<S: Sequence<Element>>(
    copying elements: S, flags: AllocFlags = .kernel
  ) throws(AllocError) {
    let before = storedCount
    try reserve(elements.underestimatedCount, flags: flags)
    do {
      for element in elements { try append(element, flags: flags) }
    } catch {
      truncate(to: before)
      throw error
    }
  }

  /// Adds copies of a span's elements at the end.
  ///
  /// - Throws: `AllocError`, as ``reserve(_:flags:)``. The vector is then as it was.
  /// - Complexity: amortised O(number of elements)
  @inlinable
  public mutating func append(copying elements: Span<Element>, flags: AllocFlags = .kernel) throws(AllocError) {
    try reserve(elements.count, flags: flags)
    unsafe elements.withUnsafeBufferPointer { source in
      guard let first = source.baseAddress else { return }
      // SAFETY: there is room for as many; the span is borrowed, so it is none of this vector's own room.
      unsafe (start + storedCount).copyElements(from: first, count: source.count)
    }
    storedCount &+= elements.count
  }

  /// Adds `count` copies of an element at the end.
  ///
  /// - Throws: `AllocError`, as ``reserve(_:flags:)``; `.invalidLayout` for a negative count. The vector is then as it
  ///   was, and no copy was made.
  /// - Complexity: amortised O(`count`)
  @inlinable
  public mutating func append(
    repeating element: consuming Element, count: Int, flags: AllocFlags = .kernel
  ) throws(AllocError) {
    try reserve(count, flags: flags)
    // SAFETY: there is room for as many.
    unsafe (start + storedCount).copyElement(element, count: count)
    storedCount &+= count
  }

  /// Makes the count `newCount`, by adding copies of an element or by destroying the last ones.
  ///
  /// - Throws: `AllocError`, as ``reserve(_:flags:)``; `.invalidLayout` for a negative count. The vector is then as it
  ///   was.
  /// - Complexity: O(difference of the counts), and O(count) if it grows
  @inlinable
  public mutating func resize(
    to newCount: Int, repeating element: consuming Element, flags: AllocFlags = .kernel
  ) throws(AllocError) {
    guard newCount >= 0 else { throw .invalidLayout }
    if newCount > storedCount {
      try append(repeating: element, count: newCount &- storedCount, flags: flags)
    } else {
      truncate(to: newCount)
    }
  }

  /// A vector of copies of the elements, from the same allocator.
  ///
  /// There is no implicit copy.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``.
  /// - Complexity: O(count)
  @inlinable
  public func tryClone(flags: AllocFlags = .kernel) throws(AllocError) -> Vec {
    var copy = try Vec(capacity: storedCount, in: allocator, flags: flags)
    // SAFETY: the copy has room for as many elements as there are here.
    unsafe copy.start.copyElements(from: start, count: storedCount)
    copy.storedCount = storedCount
    return copy
  }

  /// A vector of copies of a sequence's elements.
  ///
  /// - Throws: `AllocError`, as ``append(copying:flags:)``. Nothing is left over then.
  /// - Complexity: O(number of elements)
  @inlinable
  public init<S: Sequence<Element>>(
    copying elements: S, in allocator: A, flags: AllocFlags = .kernel
  ) throws(AllocError) {
    self.init(in: allocator)
    try append(copying: elements, flags: flags)
  }
}

extension Vec where A: GlobalAllocator {
  /// A vector of copies of a sequence's elements. See ``init(copying:in:flags:)``.
  @inlinable
  public init<S: Sequence<Element>>(copying elements: S, flags: AllocFlags = .kernel) throws(AllocError) {
    try self.init(copying: elements, in: A(), flags: flags)
  }
}
