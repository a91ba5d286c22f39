// A vector being taken apart, element by element, in its own block.
//
//   start ──▶ [ taken … | next … rest |  room  … ]

import KAlloc

/// The elements of a vector, to be taken out first to last; the rest can become a vector again.
///
/// What is not taken is destroyed when the iterator ends.
///
/// ```swift
/// var jobs = vector.makeConsumingIterator()
/// while let job = jobs.next() { if !run(job) { break } }
/// let rest = jobs.collect()          // the same block
/// ```
///
/// Thread-safety: Externally synchronised. It may be sent to another thread if the elements may.
///
/// ## Invariants
/// `start`, `capacity` and `allocator` are those of a ``Vec``. Of its places those from `taken` up to `end` hold
/// elements, and the others none.
@safe
public struct VecIterator<Element: ~Copyable, A: Allocator>: ~Copyable {
  @usableFromInline nonisolated(unsafe) var start: UnsafeMutablePointer<Element>
  @usableFromInline var taken: Int
  @usableFromInline var end: Int
  @usableFromInline var capacity: Int
  @usableFromInline let allocator: A
  @usableFromInline let anchor: DeinitAnchor

  @unsafe @inlinable
  init(start: UnsafeMutablePointer<Element>, count: Int, capacity: Int, allocator: A) {
    unsafe self.start = start
    self.taken = 0
    self.end = count
    self.capacity = capacity
    self.allocator = allocator
    anchor = DeinitAnchor()
  }

  @inlinable
  deinit {
    // SAFETY: the invariants; nobody can use the iterator after this.
    unsafe (start + taken).deinitialize(count: end &- taken)
    unsafe allocator.giveBack(start, capacity: capacity)
  }
}

// SAFETY: the iterator is the only owner of the elements and the block; allocators are `Sendable`.
extension VecIterator: @unchecked Sendable where Element: Sendable & ~Copyable {}

extension VecIterator where Element: ~Copyable {
  /// The number of elements not taken yet.
  @inlinable
  public var count: Int { end &- taken }

  /// Takes the next element out, or answers `nil` at the end.
  ///
  /// - Complexity: O(1)
  @inlinable
  public mutating func next() -> Element? {
    guard taken < end else { return nil }
    let place = unsafe start + taken
    taken &+= 1
    // SAFETY: the invariant, which no longer covers the place.
    return unsafe place.moveOut()
  }

  /// The elements not taken yet, as a vector in the same block. Cannot fail.
  ///
  /// - Complexity: O(number of elements left)
  @inlinable
  public consuming func collect() -> Vec<Element, A> {
    let left = end &- taken
    // SAFETY: the rest moves to the front; then the parts are those of a vector, and this owns nothing any more.
    if taken > 0 { unsafe start.moveElements(from: start + taken, count: left) }
    let vector = unsafe Vec(start: start, count: left, capacity: capacity, allocator: allocator)
    taken = 0
    end = 0
    capacity = 0
    return vector
  }
}

extension Vec where Element: ~Copyable {
  /// Takes the vector apart: an iterator that owns the block and moves the elements out.
  ///
  /// - Complexity: O(1)
  @inlinable
  public consuming func makeConsumingIterator() -> VecIterator<Element, A> {
    let iterator = unsafe VecIterator(
      start: start, count: storedCount, capacity: storedCapacity, allocator: allocator)
    forget()
    return iterator
  }

  /// Gives up ownership of the elements and the block: nothing is destroyed or given back.
  ///
  /// - Returns: The address of the first element, the number of elements and the capacity, as
  ///   ``init(fromRawParts:count:capacity:in:)`` takes them. The address dangles if there is no block.
  /// - Complexity: O(1)
  @inlinable
  public consuming func intoRawParts() -> (start: UnsafeMutablePointer<Element>, count: Int, capacity: Int) {
    let parts = unsafe (start: start, count: storedCount, capacity: storedCapacity)
    forget()
    return unsafe parts
  }

  /// Takes ownership of what ``intoRawParts()`` gave up.
  ///
  /// - Complexity: O(1)
  ///
  /// > Safety: The parts came from `intoRawParts()` of a vector with this allocator, and nothing has taken them since;
  /// > the first `count` places hold elements. (The count may be another, if the elements are.)
  @unsafe @inlinable
  public init(fromRawParts start: UnsafeMutablePointer<Element>, count: Int, capacity: Int, in allocator: A) {
    unsafe self.init(start: start, count: count, capacity: capacity, allocator: allocator)
  }

  /// Leaves a vector that owns nothing: what a consuming operation does last.
  @inlinable @inline(__always)
  mutating func forget() {
    storedCount = 0
    storedCapacity = 0
  }
}
