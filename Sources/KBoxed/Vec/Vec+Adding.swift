// Adding single elements. Three forms of each, by what happens to the element when there is no room: it is destroyed
// and the operation throws; it is handed back with the reason; or the operation never asks for memory in the first
// place.

import KAlloc

extension Vec where Element: ~Copyable {
  /// Adds an element at the end.
  ///
  /// - Throws: `AllocError` if there is no room and no memory; `.invalidLayout` if there can be no more elements. The
  ///   vector is then as it was, and **the element is destroyed**; to keep it use ``push(_:flags:)``.
  /// - Complexity: amortised O(1)
  @inlinable @inline(__always)
  public mutating func append(_ element: consuming Element, flags: AllocFlags = .kernel) throws(AllocError) {
    if storedCount == storedCapacity { try growSlow(by: 1, flags: flags) }
    addToRoom(element)
  }

  /// Adds an element at the end, or hands it back.
  ///
  /// - Returns: `.stored`, or the element with the reason; the vector is then as it was.
  /// - Complexity: amortised O(1)
  @inlinable
  public mutating func push(
    _ element: consuming Element, flags: AllocFlags = .kernel
  ) -> PushOutcome<Element, AllocError> {
    do {
      if storedCount == storedCapacity { try growSlow(by: 1, flags: flags) }
    } catch {
      return .refused(element, error)
    }
    addToRoom(element)
    return .stored
  }

  /// Adds an element at the end if there is room; never allocates.
  ///
  /// - Returns: `.stored`, or the element with ``CapacityError/full``.
  /// - Complexity: O(1)
  @inlinable
  public mutating func pushWithinCapacity(_ element: consuming Element) -> PushOutcome<Element, CapacityError> {
    guard storedCount < storedCapacity else { return .refused(element, .full) }
    addToRoom(element)
    return .stored
  }

  /// Adds an element at the end if there is room, and hands it back if not; never allocates.
  ///
  /// ``pushWithinCapacity(_:)`` for those who need no reason.
  ///
  /// - Complexity: O(1)
  @inlinable
  public mutating func pushLast(_ element: consuming Element) -> Element? {
    guard storedCount < storedCapacity else { return element }
    addToRoom(element)
    return nil
  }

  /// Puts an element before the one at `position`, or at the end if that is `count`.
  ///
  /// - Throws: ``InsertError/indexOutOfRange`` before anything else, or ``InsertError/allocation(_:)``. The vector is
  ///   then as it was, and **the element is destroyed**; to keep it, ``reserve(_:flags:)`` first and use
  ///   ``insertWithinCapacity(_:at:)``.
  /// - Complexity: O(`count - position`), and amortised O(1) for growth
  @inlinable
  public mutating func insert(
    _ element: consuming Element, at position: Int, flags: AllocFlags = .kernel
  ) throws(InsertError) {
    guard position >= 0 && position <= storedCount else { throw .indexOutOfRange }
    if storedCount == storedCapacity {
      do { try growSlow(by: 1, flags: flags) } catch { throw .allocation(error) }
    }
    insertInRoom(element, at: position)
  }

  /// Puts an element before the one at `position`, or at the end if that is `count`; never allocates.
  ///
  /// - Returns: `.stored`, or the element with ``CapacityError/indexOutOfRange``, which is checked first, or
  ///   ``CapacityError/full``.
  /// - Complexity: O(`count - position`)
  @inlinable
  public mutating func insertWithinCapacity(
    _ element: consuming Element, at position: Int
  ) -> PushOutcome<Element, CapacityError> {
    guard position >= 0 && position <= storedCount else { return .refused(element, .indexOutOfRange) }
    guard storedCount < storedCapacity else { return .refused(element, .full) }
    insertInRoom(element, at: position)
    return .stored
  }

  /// Adds an element at the end, where the caller knows that there is room.
  @inlinable @inline(__always)
  mutating func addToRoom(_ element: consuming Element) {
    // SAFETY: `count < capacity`, so the place exists and holds no element. Invariant: it holds one now.
    unsafe (start + storedCount).initialize(to: element)
    storedCount &+= 1
  }

  /// Puts an element in the row, where the caller knows that there is room and `position` is from 0 to `count`.
  @inlinable
  mutating func insertInRoom(_ element: consuming Element, at position: Int) {
    // SAFETY: the elements from `position` move up by one, into the room; their first place is free then.
    let place = unsafe start + position
    unsafe (place + 1).moveElements(from: place, count: storedCount &- position)
    unsafe place.initialize(to: element)
    storedCount &+= 1
  }
}
