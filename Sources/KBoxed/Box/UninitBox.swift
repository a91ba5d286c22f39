// Memory for a value that is not there yet. It cannot be read; it ends as a box or goes back.
//
// Operations that consume the memory, or a box around it, must keep `deinit` from giving it back. `discard self` is refused in a
// type that stores a generic allocator (Swift 6.3), so such an operation leaves `pointer` at an address that no value has,
// all ones, and `deinit` does nothing when it finds that. Where the operation is inlined the comparison disappears. The
// dangling address of a value without size cannot be mistaken for it: it is a power of two.

import KAlloc

/// The sole owner of memory for one value, without the value.
///
/// Use it to take the memory first and make the value when nothing can fail any more, or to use a box's memory again
/// after ``Box/dropContents()``.
///
/// ```swift
/// let memory = try UninitBox<Session, Kmalloc>()
/// let box = memory.initialize(to: Session(id: 7))   // cannot fail
/// ```
///
/// Thread-safety: Externally synchronised. It may be sent to another thread.
///
/// ## Invariants
/// Either `pointer` is the moved-out mark, which only a consuming method's own end ever sees; or it is the address of a
/// block of `Layout.of(Value.self)` from `allocator` without a value in it, dangling where that layout's size is 0.
@safe
public struct UninitBox<Value: ~Copyable, A: Allocator>: ~Copyable {
  @usableFromInline nonisolated(unsafe) var pointer: UnsafeMutablePointer<Value>
  /// Where the block came from and goes back to.
  public let allocator: A
  @usableFromInline let anchor: DeinitAnchor

  /// Takes ownership of a block.
  @unsafe @inlinable @inline(__always)
  init(owning pointer: UnsafeMutablePointer<Value>, of allocator: A) {
    unsafe self.pointer = pointer
    self.allocator = allocator
    anchor = DeinitAnchor()
  }

  /// Takes memory for one value.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``.
  /// - Complexity: O(1); with `.zero`, O(size)
  @inlinable @inline(__always)
  public init(in allocator: A, flags: AllocFlags = .kernel, node: NumaNode = .any) throws(AllocError) {
    let layout = Layout.of(Value.self)
    let block = unsafe layout.size == 0 ? layout.emptyBlock : try allocator.allocate(layout, flags: flags, node: node)
    // SAFETY: a block has an address, aligned for the value and with room for it; nobody else knows it.
    let pointer = unsafe block.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Value.self)
    unsafe self.init(owning: pointer, of: allocator)
  }

  @inlinable @inline(__always)
  deinit {
    if isMovedOut || MemoryLayout<Value>.size == 0 { return }
    // SAFETY: the invariant; there is no value to destroy.
    unsafe allocator.deallocate(UnsafeMutableRawPointer(pointer), Layout.of(Value.self))
  }
}

// SAFETY: it is the only owner of memory without a value; allocators are `Sendable`.
extension UninitBox: @unchecked Sendable where Value: ~Copyable {}

extension UninitBox where Value: ~Copyable, A: GlobalAllocator {
  /// Takes memory for one value.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``.
  /// - Complexity: O(1); with `.zero`, O(size)
  @inlinable @inline(__always)
  public init(flags: AllocFlags = .kernel, node: NumaNode = .any) throws(AllocError) {
    try self.init(in: A(), flags: flags, node: node)
  }
}

extension UninitBox where Value: ~Copyable {
  /// Whether this owns nothing any more.
  @inlinable @inline(__always)
  var isMovedOut: Bool { unsafe UInt(bitPattern: pointer) == UInt.max }

  /// Passes ownership on: this owns nothing any more.
  @inlinable @inline(__always)
  mutating func moveOut() -> UninitBox {
    let moved = unsafe UninitBox(owning: pointer, of: allocator)
    disown()
    return moved
  }

  /// Leaves a handle that owns nothing: what a consuming operation does last.
  @inlinable @inline(__always)
  mutating func disown() {
    // SAFETY: not null, and never accessed.
    unsafe pointer = UnsafeMutablePointer(bitPattern: UInt.max).unsafelyUnwrapped
  }

  /// Moves a value in.
  ///
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public consuming func initialize(to value: consuming Value) -> Box<Value, A> {
    // SAFETY: the invariant: the memory holds no value and is nobody else's.
    unsafe pointer.initialize(to: value)
    return unsafe assumeInitialized()
  }

  /// Makes a value in the memory.
  ///
  /// - Throws: What `body` throws. The memory goes back then, and no value is destroyed.
  /// - Complexity: O(1) and what `body` takes
  @inlinable
  public consuming func emplace<Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Box<Value, A> {
    // SAFETY: as for `initialize(to:)`; if `body` throws, nothing was written and `deinit` frees the memory.
    unsafe pointer.initialize(to: try body())
    return unsafe assumeInitialized()
  }

  /// The box of a value that the caller has made in the memory at ``unsafeAddress``.
  ///
  /// - Complexity: O(1)
  ///
  /// > Safety: The memory holds an initialised value.
  @unsafe @inlinable @inline(__always)
  public consuming func assumeInitialized() -> Box<Value, A> {
    // SAFETY: the caller says that there is a value in it.
    unsafe Box(filled: self)
  }

  /// Where the value will be.
  ///
  /// > Safety: Valid while this owner lives. The memory is not initialised, unless it was asked for with `.zero`.
  @unsafe @inlinable
  public var unsafeAddress: UnsafeMutablePointer<Value> { unsafe pointer }
}
