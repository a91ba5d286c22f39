// The ends of a box other than its own: the value moves out, is destroyed early, or goes on as a raw pointer.

import KAlloc

extension Box where Value: ~Copyable {
  /// Moves the value out and gives the memory back.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public consuming func consume() -> Value {
    // SAFETY: the invariant; the value moves out of the memory, which ends as memory without a value.
    let value = unsafe pointer.move()
    _ = memory.moveOut()
    return value
  }

  /// Destroys the value and keeps the memory, for another.
  ///
  /// - Complexity: O(1) and what destroying the value takes
  @inlinable
  public consuming func dropContents() -> UninitBox<Value, A> {
    // SAFETY: the invariant; the memory passes on.
    unsafe pointer.deinitialize(count: 1)
    return memory.moveOut()
  }

  /// Gives up ownership: nothing is destroyed or given back until ``init(fromRaw:in:)`` takes the pointer again.
  ///
  /// - Returns: The address of the value, in a block of `Layout.of(Value.self)`; dangling for a type without size.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public consuming func intoRaw() -> UnsafeMutablePointer<Value> {
    let raw = unsafe pointer
    memory.disown()
    return unsafe raw
  }

  /// As ``intoRaw()``, with the allocator that the block must go back to.
  ///
  /// - Complexity: O(1)
  @inlinable
  public consuming func intoRawWithAllocator() -> (pointer: UnsafeMutablePointer<Value>, allocator: A) {
    let allocator = self.allocator
    return unsafe (intoRaw(), allocator)
  }

  /// Gives the value up to live for the rest of the process.
  ///
  /// The same as ``intoRaw()`` to the machine; the name says that nobody will take it back.
  ///
  /// - Complexity: O(1)
  @inlinable
  public consuming func leak() -> UnsafeMutablePointer<Value> {
    unsafe intoRaw()
  }

  /// Takes ownership of what ``intoRaw()`` gave up.
  ///
  /// - Complexity: O(1)
  ///
  /// > Safety: `pointer` came from `intoRaw()` or `leak()` of a box with this allocator, no box has taken it since, and
  /// > it points to an initialised value that nobody else uses. Or the caller has made such a value in a block of
  /// > `Layout.of(Value.self)` from `allocator`.
  @unsafe @inlinable @inline(__always)
  public init(fromRaw pointer: UnsafeMutablePointer<Value>, in allocator: A) {
    unsafe self.init(filled: UninitBox(owning: pointer, of: allocator))
  }
}

extension Box where Value: ~Copyable, A: GlobalAllocator {
  /// Takes ownership of what ``intoRaw()`` gave up.
  ///
  /// > Safety: As for ``init(fromRaw:in:)``.
  @unsafe @inlinable @inline(__always)
  public init(fromRaw pointer: UnsafeMutablePointer<Value>) {
    unsafe self.init(filled: UninitBox(owning: pointer, of: A()))
  }
}
