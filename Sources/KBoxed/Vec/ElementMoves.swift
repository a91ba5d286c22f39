// Moving and copying rows of elements.
//
// The standard library moves and copies rows by strides, and an element without size has a stride of one byte: it
// would touch bytes at an address where none are. These do nothing for such elements, as there is nothing to do.

extension UnsafeMutablePointer where Pointee: ~Copyable {
  /// Moves `count` elements here; the places may overlap.
  ///
  /// > Safety: As for `moveInitialize(from:count:)`, except that elements without size need no memory.
  @inlinable @inline(__always)
  func moveElements(from source: UnsafeMutablePointer, count: Int) {
    // SAFETY: the caller's duties are the same.
    if MemoryLayout<Pointee>.size > 0 { unsafe moveInitialize(from: source, count: count) }
  }

  /// Moves the element here out.
  ///
  /// > Safety: As for `move()`.
  @inlinable @inline(__always)
  func moveOut() -> Pointee {
    // SAFETY: the caller's duties are the same.
    unsafe MemoryLayout<Pointee>.size > 0 ? move() : moveOutNothing()
  }

  /// As `moveOut()`, out of line: Swift 6.3's optimizer stops with an error of its own where it inlines the move of an
  /// element without size and its `deinit` behind its initialisation.
  @inlinable @inline(never)
  func moveOutNothing() -> Pointee {
    // SAFETY: the caller's duties are the same.
    unsafe move()
  }
}

extension UnsafeMutablePointer {
  /// Copies `count` elements here.
  ///
  /// > Safety: As for `initialize(from:count:)`, except that elements without size need no memory.
  @inlinable @inline(__always)
  func copyElements(from source: UnsafePointer<Pointee>, count: Int) {
    // SAFETY: the caller's duties are the same.
    if MemoryLayout<Pointee>.size > 0 { unsafe initialize(from: source, count: count) }
  }

  /// Makes `count` copies of an element here.
  ///
  /// > Safety: As for `initialize(repeating:count:)`, except that elements without size need no memory.
  @inlinable @inline(__always)
  func copyElement(_ element: Pointee, count: Int) {
    // SAFETY: the caller's duties are the same.
    if MemoryLayout<Pointee>.size > 0 { unsafe initialize(repeating: element, count: count) }
  }
}
