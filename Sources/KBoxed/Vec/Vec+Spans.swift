// The elements as spans, and the room as an output span.

import KAlloc

extension Vec where Element: ~Copyable {
  /// The elements, as a span that borrows the vector.
  ///
  /// - Complexity: O(1)
  @inlinable
  public var span: Span<Element> {
    @_lifetime(borrow self)
    get {
      // SAFETY: the invariants; the lifetime is the borrow's.
      let span = unsafe Span(_unsafeStart: UnsafePointer(start), count: storedCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The elements, as a mutable span that borrows the vector exclusively.
  ///
  /// - Complexity: O(1)
  @inlinable
  public var mutableSpan: MutableSpan<Element> {
    @_lifetime(&self)
    mutating get {
      // SAFETY: the invariants; the lifetime is the exclusive borrow's.
      let span = unsafe MutableSpan(_unsafeStart: start, count: storedCount)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// Edits the elements and the room after them as one output span. Never allocates.
  ///
  /// Whatever the span holds when `body` returns or throws is what the vector holds.
  ///
  /// - Complexity: O(1) and what `body` takes
  @inlinable
  public mutating func edit<Failure: Error, Result: ~Copyable>(
    _ body: (inout OutputSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let all = unsafe UnsafeMutableBufferPointer(start: start, count: storedCapacity)
    // SAFETY: the invariants. The elements are the span's until it is finalised.
    var output = unsafe OutputSpan(buffer: all, initializedCount: storedCount)
    storedCount = 0
    defer {
      storedCount = unsafe output.finalize(for: all)
      output = OutputSpan()
    }
    return try body(&output)
  }

  /// Reserves room for `addingCount` elements and has `body` fill any part of it, from the front.
  ///
  /// ```swift
  /// try numbers.append(addingCount: 8) { room in
  ///   while !room.isFull { room.append(next()) }
  /// }
  /// ```
  ///
  /// - Throws: ``InitError/allocation(_:)`` if there is no memory: `body` did not run. ``InitError/initializer(_:)``
  ///   with what `body` threw: the elements it had added are destroyed. The vector holds what it held.
  /// - Complexity: amortised O(`addingCount`) and what `body` takes
  @inlinable
  public mutating func append<Failure: Error>(
    addingCount: Int, flags: AllocFlags = .kernel,
    initializingWith body: (inout OutputSpan<Element>) throws(Failure) -> Void
  ) throws(InitError<Failure>) {
    do { try reserve(addingCount, flags: flags) } catch { throw .allocation(error) }
    let room = unsafe UnsafeMutableBufferPointer(start: start + storedCount, count: addingCount)
    // SAFETY: that many places after the elements exist and hold none. If `body` throws, the span's own end destroys
    // what it holds.
    var output = unsafe OutputSpan(buffer: room, initializedCount: 0)
    do { try body(&output) } catch { throw .initializer(error) }
    storedCount &+= unsafe output.finalize(for: room)
  }

  /// Lends the elements as a buffer.
  ///
  /// > Safety: The buffer is valid only until `body` returns, and all its elements must be initialised then.
  ///
  /// - Complexity: O(1) and what `body` takes
  @unsafe @inlinable
  public mutating func withUnsafeMutableBufferPointer<Failure: Error, Result: ~Copyable>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe try body(UnsafeMutableBufferPointer(start: start, count: storedCount))
  }

  /// Lends two different elements at once.
  ///
  /// - Returns: What `body` returns; `nil` if the positions are equal or one has no element: `body` did not run.
  /// - Complexity: O(1) and what `body` takes
  @inlinable
  public mutating func withDisjoint<Failure: Error, Result: ~Copyable>(
    _ first: Int, _ second: Int, _ body: (inout Element, inout Element) throws(Failure) -> Result
  ) throws(Failure) -> Result? {
    guard first != second && holds(first) && holds(second) else { return nil }
    // SAFETY: two elements that exist and are not the same, under exclusive access to the vector.
    return unsafe try body(&start[first], &start[second])
  }

  /// Exchanges two elements. A position that has no element traps, as in the subscript.
  ///
  /// - Complexity: O(1)
  @inlinable
  public mutating func swapAt(_ first: Int, _ second: Int) {
    precondition(holds(first) && holds(second), "Vec: the index is out of range")
    guard first != second else { return }
    // SAFETY: both exist and are not the same: one moves out, the other over, the first back in.
    let element = unsafe (start + first).moveOut()
    unsafe (start + first).moveElements(from: start + second, count: 1)
    unsafe (start + second).initialize(to: element)
  }
}
