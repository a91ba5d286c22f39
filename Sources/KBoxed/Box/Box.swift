// One value in a block of its own.
//
//   Box ──▶ [ value ]      a block of Layout.of(Value.self), or, for a type without size, no block at all
//
// A box is as wide as its pointer when its allocator is an empty struct, and so is an optional box, as the pointer is
// never null. The end of a box destroys the value and then gives the block back, whether or not the value has anything
// to destroy.
//
// Operations that consume the box must keep `deinit` from doing that. `discard self` is refused in a type that stores a
// generic allocator (Swift 6.3), so such an operation leaves `pointer` at an address that no value has, all ones, and
// `deinit` does nothing when it finds that. Where the operation is inlined the comparison disappears. The dangling
// address of a value without size cannot be mistaken for it: it is a power of two.

import KAlloc

/// The sole owner of a value in memory of an allocator.
///
/// Use it for a value that is large, that must keep its address, or whose type refers to itself. Creating one can
/// fail, and says so; nothing else here allocates.
///
/// ```swift
/// var box = try KBox(Session(id: 7))   // Box<Session, Kmalloc>
/// box.value.touch()
/// let session = box.consume()          // the value moves out, the block goes back
/// ```
///
/// Do not use it for many values of a kind: ``Vec`` needs one block for all.
///
/// Thread-safety: Externally synchronised. It may be sent to another thread if its value may, and ended there.
///
/// ## Invariants
/// Either `pointer` is the moved-out mark, and the box owns nothing, which only a consuming method's own end ever sees;
/// or `pointer` is the address of an initialised value that nobody else owns, in a block of `Layout.of(Value.self)`
/// from `allocator`, and dangling where that layout's size is 0.
@safe
public struct Box<Value: ~Copyable, A: Allocator>: ~Copyable {
  @usableFromInline nonisolated(unsafe) var pointer: UnsafeMutablePointer<Value>
  /// Where the block came from and goes back to.
  public let allocator: A
  @usableFromInline let anchor: DeinitAnchor

  /// Takes ownership of a value and its block.
  @unsafe @inlinable @inline(__always)
  init(owning pointer: UnsafeMutablePointer<Value>, of allocator: A) {
    unsafe self.pointer = pointer
    self.allocator = allocator
    anchor = DeinitAnchor()
  }

  @inlinable @inline(__always)
  deinit {
    guard unsafe pointer != movedOut() else { return }
    // SAFETY: the invariant; nobody can use the box after this.
    unsafe pointer.deinitialize(count: 1)
    unsafe allocator.giveBack(pointer)
  }
}

// SAFETY: a box is the only owner of its value, so sending the box sends the value; allocators are `Sendable`.
extension Box: @unchecked Sendable where Value: Sendable & ~Copyable {}

extension Allocator {
  /// Gives back the block of one value, unless a value of this type takes none.
  ///
  /// > Safety: `pointer` holds no value any more; its block is one of `Layout.of(Value.self)` from this allocator.
  @inlinable @inline(__always)
  func giveBack<Value: ~Copyable>(_ pointer: UnsafeMutablePointer<Value>) {
    if MemoryLayout<Value>.size > 0 {
      // SAFETY: the caller's duties are the same.
      unsafe deallocate(UnsafeMutableRawPointer(pointer), Layout.of(Value.self))
    }
  }
}

/// The address that marks a handle as moved out: all ones, where no value begins.
@inlinable @inline(__always)
func movedOut<Value: ~Copyable>() -> UnsafeMutablePointer<Value> {
  // SAFETY: not null, and never accessed.
  unsafe UnsafeMutablePointer(bitPattern: UInt.max).unsafelyUnwrapped
}

extension Box where Value: ~Copyable {
  /// The value, in place.
  ///
  /// - Complexity: O(1)
  @inlinable
  public var value: Value {
    @inline(__always) unsafeAddress {
      // SAFETY: the invariant; the access borrows the box, and with it the value.
      unsafe UnsafePointer(pointer)
    }
    @inline(__always) unsafeMutableAddress {
      // SAFETY: the invariant; the access is exclusive, as the box's is.
      unsafe pointer
    }
  }
}

extension Box where Value: ~Copyable {
  /// The value, as a span of one element that borrows the box.
  ///
  /// - Complexity: O(1)
  @inlinable
  public var span: Span<Value> {
    @_lifetime(borrow self)
    get {
      // SAFETY: the invariant; the lifetime is the borrow's.
      let span = unsafe Span(_unsafeStart: UnsafePointer(pointer), count: 1)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The value, as a mutable span of one element that borrows the box exclusively.
  ///
  /// - Complexity: O(1)
  @inlinable
  public var mutableSpan: MutableSpan<Value> {
    @_lifetime(&self)
    mutating get {
      // SAFETY: the invariant; the lifetime is the exclusive borrow's.
      let span = unsafe MutableSpan(_unsafeStart: pointer, count: 1)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }
}
