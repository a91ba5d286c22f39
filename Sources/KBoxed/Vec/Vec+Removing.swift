// Taking elements out. No removal fails for want of memory, none gives memory back, and the capacity stays.

import KAlloc

extension Vec where Element: ~Copyable {
  /// Takes the last element out, or answers `nil` if there is none.
  ///
  /// - Complexity: O(1)
  @inlinable
  public mutating func popLast() -> Element? {
    guard storedCount > 0 else { return nil }
    storedCount &-= 1
    // SAFETY: the place held the last element; the count says that it no longer does.
    return unsafe (start + storedCount).moveOut()
  }

  /// Takes the element at a position out; those after it move down.
  ///
  /// - Throws: ``IndexError/outOfRange`` if there is none.
  /// - Complexity: O(`count - position`)
  @inlinable
  public mutating func remove(at position: Int) throws(IndexError) -> Element {
    guard holds(position) else { throw .outOfRange }
    // SAFETY: the element moves out, and those after it move down into its place.
    let place = unsafe start + position
    let element = unsafe place.moveOut()
    storedCount &-= 1
    unsafe place.moveElements(from: place + 1, count: storedCount &- position)
    return element
  }

  /// Takes the element at a position out; the last one moves into its place.
  ///
  /// - Throws: ``IndexError/outOfRange`` if there is none.
  /// - Complexity: O(1)
  @inlinable
  public mutating func swapRemove(at position: Int) throws(IndexError) -> Element {
    guard holds(position) else { throw .outOfRange }
    // SAFETY: the element moves out; the last one, if it is another, moves into its place.
    let element = unsafe (start + position).moveOut()
    storedCount &-= 1
    if position != storedCount { unsafe (start + position).moveElements(from: start + storedCount, count: 1) }
    return element
  }

  /// Destroys the elements from the position `newCount` on. Nothing happens if there are no more than that.
  ///
  /// A negative count counts as 0.
  ///
  /// - Complexity: O(number of elements destroyed)
  @inlinable
  public mutating func truncate(to newCount: Int) {
    let kept = Swift.max(0, newCount)
    guard kept < storedCount else { return }
    let destroyed = storedCount &- kept
    storedCount = kept
    // SAFETY: the count no longer covers these.
    unsafe (start + kept).deinitialize(count: destroyed)
  }

  /// Destroys all elements.
  ///
  /// - Complexity: O(count)
  @inlinable
  public mutating func removeAll() { truncate(to: 0) }

  /// Keeps the elements for which `isIncluded` says so, in their order, and destroys the others.
  ///
  /// Each element is visited once, and may be changed.
  ///
  /// - Throws: What `isIncluded` throws. The element that it was given and those after it are kept then.
  /// - Complexity: O(count)
  @inlinable
  public mutating func retain<Failure: Error>(
    _ isIncluded: (inout Element) throws(Failure) -> Bool
  ) throws(Failure) {
    let total = storedCount
    var kept = 0
    var visited = 0
    // While this runs: [0, kept) are elements, [kept, visited) holds none, [visited, total) are elements.
    storedCount = 0
    defer {
      // SAFETY: the rest, if any, moves down to the kept ones. Invariant: the count covers exactly the elements.
      if kept != visited { unsafe (start + kept).moveElements(from: start + visited, count: total &- visited) }
      storedCount = kept &+ (total &- visited)
    }
    while visited < total {
      // SAFETY: the element exists, and moves or ends at most once.
      let place = unsafe start + visited
      if unsafe try isIncluded(&place.pointee) {
        if kept != visited { unsafe (start + kept).moveElements(from: place, count: 1) }
        visited &+= 1
        kept &+= 1
      } else {
        visited &+= 1
        unsafe place.deinitialize(count: 1)
      }
    }
  }

  /// Takes the elements of a range out through a drain, destroys those that `body` leaves in it, and closes the gap.
  ///
  /// ```swift
  /// queue.drain(0..<3) { drain in
  ///   while let job = drain.next() { run(job) }
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - range: Positions of elements. A range that exceeds the vector traps, as in the subscript.
  ///   - body: Takes as many as it likes. The vector itself is out of its reach meanwhile.
  /// - Returns: What `body` returns.
  /// - Throws: What `body` throws. The range is gone then, too.
  /// - Complexity: O(`count - range.lowerBound`) and what `body` takes
  @inlinable
  public mutating func drain<Failure: Error, Result: ~Copyable>(
    _ range: Range<Int>, _ body: (inout VecDrain<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= storedCount, "Vec: the range is out of bounds")
    let total = storedCount
    storedCount = range.lowerBound
    // SAFETY: the count no longer covers the range, which the drain owns now, nor the elements after it.
    var drain = unsafe VecDrain(first: start + range.lowerBound, count: range.count)
    defer {
      drain.destroyRest()
      // SAFETY: the range holds no elements any more; those after it move down, and the count covers them again.
      unsafe (start + range.lowerBound)
        .moveElements(from: start + range.upperBound, count: total &- range.upperBound)
      storedCount = total &- range.count
    }
    return try body(&drain)
  }
}
