// The elements of a range on their way out of a vector.

/// The elements that ``Vec/drain(_:_:)`` takes out, first to last.
///
/// What is not taken is destroyed when the drain ends.
///
/// Thread-safety: Externally synchronised.
///
/// ## Invariants
/// The `remaining` places from `first` on hold elements that nobody else owns.
@safe
public struct VecDrain<Element: ~Copyable>: ~Copyable, ~Escapable {
  @usableFromInline nonisolated(unsafe) var first: UnsafeMutablePointer<Element>
  @usableFromInline var remaining: Int

  @unsafe @inlinable
  @_lifetime(immortal)
  init(first: UnsafeMutablePointer<Element>, count: Int) {
    unsafe self.first = first
    self.remaining = count
  }

  @inlinable
  deinit {
    // SAFETY: the invariant.
    unsafe first.deinitialize(count: remaining)
  }

  /// The number of elements not taken yet.
  @inlinable
  public var count: Int { remaining }

  /// Takes the next element out, or answers `nil` at the end.
  ///
  /// - Complexity: O(1)
  @inlinable
  @_lifetime(self: copy self)
  public mutating func next() -> Element? {
    guard remaining > 0 else { return nil }
    let place = unsafe first
    remaining &-= 1
    unsafe first = place + 1
    // SAFETY: the invariant, which no longer covers the place.
    return unsafe place.moveOut()
  }

  /// Destroys what is left.
  @inlinable
  @_lifetime(self: copy self)
  mutating func destroyRest() {
    let rest = remaining
    remaining = 0
    // SAFETY: the invariant, which no longer covers them.
    unsafe first.deinitialize(count: rest)
  }
}
