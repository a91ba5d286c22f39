// One value in a block of its own.
//
//   Box ──▶ [ value ]      a block of Layout.of(Value.self), or, for a type without size, no block at all
//
// A box is as wide as its pointer when its allocator is an empty struct, and so is an optional box, as the pointer is
// never null. It is an `UninitBox` with a value in it: the end of a box destroys the value, whether or not it has anything
// to destroy, and then the memory gives the block back. UninitBox.swift says how an operation that consumes a box keeps
// both from happening.

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
/// `memory` holds an initialised value that nobody else owns, unless it is moved out.
@safe
public struct Box<Value: ~Copyable, A: Allocator>: ~Copyable {
  @usableFromInline var memory: UninitBox<Value, A>

  /// Takes ownership of memory that holds a value.
  @unsafe @inlinable @inline(__always)
  init(filled memory: consuming UninitBox<Value, A>) { self.memory = memory }

  @inlinable @inline(__always)
  deinit {
    // SAFETY: the invariant; nobody can use the box after this.
    if !memory.isMovedOut { unsafe memory.pointer.deinitialize(count: 1) }
  }
}

// SAFETY: a box is the only owner of its value, so sending the box sends the value; allocators are `Sendable`.
extension Box: @unchecked Sendable where Value: Sendable & ~Copyable {}

extension Box where Value: ~Copyable {
  /// Where the block came from and goes back to.
  @inlinable @inline(__always)
  public var allocator: A { memory.allocator }

  @inlinable @inline(__always)
  var pointer: UnsafeMutablePointer<Value> { unsafe memory.pointer }

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
