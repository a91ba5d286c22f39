// A growing row of elements in one block.
//
//   start ──▶ [ e0 | e1 | … | e(count-1) |  room  … ]   capacity = usable bytes of the block / stride
//
// The block is never asked for before it is needed, doubles when it is full, and takes in the excess that its size
// class has anyway. Nothing but `shrink(to:)` makes it smaller, and no removal touches it.
//
// Elements without size need no block: `start` dangles, the capacity is `Int.max` from the start, and `count` counts.
//
// Growing moves the elements. Those that are plain bytes go with the block, which may grow in place or be remapped;
// all others are moved one by one into a new block, as some types may not be moved as bytes (a weak reference is known
// to the object by its address). The test for "plain bytes" is narrower than it need be: the language does not say of
// a noncopyable type whether it may be moved as bytes.

import KAlloc

/// An array of elements, copyable or not, whose memory comes from an allocator and whose growth can fail.
///
/// Use it for a number of values that changes. Every operation that may need memory throws `AllocError` and then leaves
/// the vector as it was; every other operation cannot fail for want of memory.
///
/// ```swift
/// var numbers = KVec<Int>()            // Vec<Int, Kmalloc>; allocates nothing
/// try numbers.append(1)
/// try numbers.reserve(100)
/// numbers[0] += 1
/// let last = numbers.popLast()
/// ```
///
/// Thread-safety: Externally synchronised. It may be sent to another thread if its elements may.
///
/// ## Invariants
/// * `0 <= count <= capacity`; the first `count` places hold elements, the others hold none.
/// * If the stride of an element is 0 (it has no size), `capacity` is `Int.max`, and `start` dangles.
/// * Otherwise, if `capacity` is 0, `start` dangles; if not, `start` is a block of `allocator`, and an array layout of
///   `capacity` elements is one that its `deallocate` accepts. `capacity` is always all that the block has room for.
@safe
public struct Vec<Element: ~Copyable, A: Allocator>: ~Copyable {
  @usableFromInline nonisolated(unsafe) var start: UnsafeMutablePointer<Element>
  @usableFromInline var storedCount: Int
  @usableFromInline var storedCapacity: Int
  /// Where the block comes from and goes back to.
  public let allocator: A
  @usableFromInline let anchor: DeinitAnchor

  /// An empty vector. Allocates nothing.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init(in allocator: A) {
    // SAFETY: room for no bytes is everywhere.
    unsafe self.init(start: Self.nowhere, count: 0, capacity: Self.capacityWithoutBlock, allocator: allocator)
  }

  /// Takes ownership of the parts.
  ///
  /// > Safety: They satisfy the type's invariants, and nobody else owns them.
  @unsafe @inlinable @inline(__always)
  init(start: UnsafeMutablePointer<Element>, count: Int, capacity: Int, allocator: A) {
    unsafe self.start = start
    self.storedCount = count
    self.storedCapacity = capacity
    self.allocator = allocator
    anchor = DeinitAnchor()
  }

  @inlinable
  deinit {
    // SAFETY: the invariants; nobody can use the vector after this.
    unsafe start.deinitialize(count: storedCount)
    unsafe allocator.giveBack(start, capacity: storedCapacity)
  }
}

// SAFETY: a vector is the only owner of its elements, so sending it sends them; allocators are `Sendable`.
extension Vec: @unchecked Sendable where Element: Sendable & ~Copyable {}

extension Vec where Element: ~Copyable {
  /// The number of elements.
  @inlinable @inline(__always)
  public var count: Int { storedCount }

  /// The number of elements for which there is room without allocating; `Int.max` for elements without size.
  @inlinable @inline(__always)
  public var capacity: Int { storedCapacity }

  /// The number of elements that can be added without allocating.
  @inlinable @inline(__always)
  public var freeCapacity: Int { storedCapacity &- storedCount }

  /// Whether there are no elements.
  @inlinable @inline(__always)
  public var isEmpty: Bool { storedCount == 0 }

  /// Whether the next element needs memory first.
  @inlinable @inline(__always)
  public var isFull: Bool { storedCount == storedCapacity }

  /// The positions of the elements: `0 ..< count`.
  @inlinable @inline(__always)
  public var indices: Range<Int> { unsafe Range(uncheckedBounds: (0, storedCount)) }

  /// The element at a position, in place.
  ///
  /// A position that has no element is a programming error and traps; ``remove(at:)`` and
  /// ``withDisjoint(_:_:_:)`` answer it instead.
  ///
  /// - Complexity: O(1)
  @inlinable
  public subscript(position: Int) -> Element {
    @inline(__always) unsafeAddress {
      precondition(holds(position), "Vec: the index is out of range")
      // SAFETY: there is an element; the access borrows the vector.
      return unsafe UnsafePointer(start + position)
    }
    @inline(__always) unsafeMutableAddress {
      precondition(holds(position), "Vec: the index is out of range")
      // SAFETY: there is an element; the access is exclusive, as the vector's is.
      return unsafe start + position
    }
  }

  /// Whether there is an element at `position`.
  @inlinable @inline(__always)
  func holds(_ position: Int) -> Bool {
    UInt(bitPattern: position) < UInt(bitPattern: storedCount)
  }

  /// An address for elements that need no block.
  @inlinable @inline(__always)
  static var nowhere: UnsafeMutablePointer<Element> {
    // SAFETY: not null and aligned; never accessed for elements with size.
    unsafe Layout.of(Element.self).dangling.assumingMemoryBound(to: Element.self)
  }

  /// The elements for which there is room without a block.
  @inlinable @inline(__always)
  static var capacityWithoutBlock: Int { MemoryLayout<Element>.size == 0 ? .max : 0 }
}

extension Allocator {
  /// Gives back the block of an array, if there is one.
  ///
  /// > Safety: The array holds no elements any more; its parts satisfy the invariants of ``Vec``.
  @inlinable @inline(__always)
  func giveBack<Element: ~Copyable>(_ start: UnsafeMutablePointer<Element>, capacity: Int) {
    // SAFETY: such an array exists, so its layout does.
    let layout = unsafe ArrayLayout<Element>(uncheckedCount: capacity).layout
    if layout.size > 0 { unsafe deallocate(UnsafeMutableRawPointer(start), layout) }
  }
}

extension Vec where Element: ~Copyable, A: GlobalAllocator {
  /// An empty vector. Allocates nothing.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init() { self.init(in: A()) }
}
