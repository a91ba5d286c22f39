// Room for elements: how it is reserved, how it grows, how it is given back.
//
// A full vector doubles, so that n appends move fewer than 2 n elements; the first block holds at least four, or
// whatever the smallest size class does. If twice the capacity cannot exist, what is needed is asked for.

import KAlloc

extension Vec where Element: ~Copyable {
  /// An empty vector with room for `capacity` elements or more.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``; `.invalidLayout` for a negative capacity or one
  ///   that does not fit in `Int.max` bytes.
  /// - Complexity: O(1)
  @inlinable
  public init(capacity: Int, in allocator: A, flags: AllocFlags = .kernel) throws(AllocError) {
    self.init(in: allocator)
    try reserveCapacity(capacity, flags: flags)
  }

  /// Makes room for `total` elements altogether; exactly that many, as far as size classes allow.
  ///
  /// Nothing happens if there is room. Use ``reserve(_:flags:)`` before adding elements repeatedly.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``; `.invalidLayout` for a negative total or one
  ///   that does not fit in `Int.max` bytes. The vector is then as it was.
  /// - Complexity: O(count) if it grows
  @inlinable
  public mutating func reserveCapacity(_ total: Int, flags: AllocFlags = .kernel) throws(AllocError) {
    guard total >= 0 else { throw .invalidLayout }
    if total > storedCapacity { try relocate(toCapacity: total, flags: flags) }
  }

  /// Makes room for `additional` elements more than there are, and at least doubles the capacity if it must grow.
  ///
  /// Nothing happens if there is room: a second call with the same number changes nothing.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``; `.invalidLayout` for a negative number or one
  ///   that makes more than fit in `Int.max` bytes, or more than `Int.max` elements. The vector is then as it was.
  /// - Complexity: O(count) if it grows; amortised O(1) per element over repeated calls
  @inlinable @inline(__always)
  public mutating func reserve(_ additional: Int, flags: AllocFlags = .kernel) throws(AllocError) {
    guard additional >= 0 else { throw .invalidLayout }
    if additional > freeCapacity { try growSlow(by: additional, flags: flags) }
  }

  /// Gives back the room beyond `minimum` elements, or beyond those that there are.
  ///
  /// Cannot fail: where no smaller block can be had, the larger one stays. Without elements and at minimum 0 the block
  /// goes back and the capacity is 0. A negative minimum counts as 0.
  ///
  /// - Complexity: O(count) if the elements move
  @inlinable
  public mutating func shrink(to minimum: Int = 0, flags: AllocFlags = .kernel) {
    let target = Swift.max(storedCount, minimum)
    guard MemoryLayout<Element>.size > 0, target < storedCapacity else { return }
    if target == 0 {
      // SAFETY: the vector holds no elements, and forgets the block.
      unsafe allocator.giveBack(start, capacity: storedCapacity)
      unsafe start = Self.nowhere
      storedCapacity = 0
      return
    }
    // SAFETY: both counts are at most the capacity, which fits.
    let new = unsafe ArrayLayout<Element>(uncheckedCount: target).layout
    let old = unsafe ArrayLayout<Element>(uncheckedCount: storedCapacity).layout
    guard A.usableSize(for: new) < A.usableSize(for: old) else { return }
    try? relocate(toCapacity: target, flags: flags)
  }

  /// Grows, out of line: room for `additional` more, and twice the capacity if that can exist.
  @inlinable @inline(never)
  mutating func growSlow(by additional: Int, flags: AllocFlags) throws(AllocError) {
    let (needed, overflow) = storedCount.addingReportingOverflow(additional)
    guard !overflow else { throw .invalidLayout }
    let (doubled, tooMuch) = storedCapacity.multipliedReportingOverflow(by: 2)
    let amortised = Swift.max(needed, tooMuch ? 0 : doubled, smallestCapacity)
    let exists = (try? ArrayLayout<Element>(count: amortised)) != nil
    try relocate(toCapacity: exists ? amortised : needed, flags: flags)
  }

  /// What the first block holds: four, as a block for fewer is soon too small.
  @inlinable @inline(__always)
  var smallestCapacity: Int { 4 }

  /// Moves the elements to a block with room for `capacity` of them, which may be the same block.
  ///
  /// `capacity` is at least `count`. On failure nothing has changed.
  @inlinable
  mutating func relocate(toCapacity capacity: Int, flags: AllocFlags) throws(AllocError) {
    let layout: Layout
    do { layout = try Layout.array(of: Element.self, count: capacity) } catch { throw AllocError(error) }
    // SAFETY: the vector exists, so its layout does.
    let old = unsafe ArrayLayout<Element>(uncheckedCount: storedCapacity).layout
    let block: UnsafeMutableRawBufferPointer
    if Self.movesAsBytes {
      // SAFETY: the invariants: `old` is the layout of the block at `start`, and size 0 says that there is none. The
      // answer holds the elements' bytes, which is all that such elements are, and replaces `start` below.
      unsafe block = try allocator.reallocate(UnsafeMutableRawPointer(start), from: old, to: layout, flags: flags)
    } else {
      unsafe block = try allocator.allocate(layout, flags: flags)
      // SAFETY: the new block is aligned and has room for `count` elements; the old one is given back without any.
      let target = unsafe block.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Element.self)
      unsafe target.moveElements(from: start, count: storedCount)
      unsafe allocator.giveBack(start, capacity: storedCapacity)
    }
    // SAFETY: a block has an address. Invariant: the capacity is all that it has room for.
    unsafe start = block.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Element.self)
    storedCapacity = block.count / MemoryLayout<Element>.stride
  }

  /// Whether elements are plain bytes, so that copying the bytes moves them.
  @inlinable @inline(__always)
  static var movesAsBytes: Bool { _isPOD(Element.self) }
}

extension Vec where Element: ~Copyable, A: GlobalAllocator {
  /// An empty vector with room for `capacity` elements or more. See ``init(capacity:in:flags:)``.
  @inlinable
  public init(capacity: Int, flags: AllocFlags = .kernel) throws(AllocError) {
    try self.init(capacity: capacity, in: A(), flags: flags)
  }
}
