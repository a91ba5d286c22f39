// Making a box: of a value that exists, of one made in place, of zeros, of a copy.

import KAlloc

extension Box where Value: ~Copyable {
  /// Moves a value into a block of its own.
  ///
  /// A type without size takes no block, and boxing it cannot fail.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``. **The value is destroyed then**; to keep it use
  ///   ``boxing(_:in:flags:node:)``, and to make it only once there is memory ``emplace(in:flags:node:_:)``.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init(
    _ value: consuming Value, in allocator: A, flags: AllocFlags = .kernel, node: NumaNode = .any
  ) throws(AllocError) {
    let memory = try UninitBox<Value, A>(in: allocator, flags: flags, node: node)
    self = memory.initialize(to: value)
  }

  /// Moves a value into a block of its own, or hands it back.
  ///
  /// - Returns: The box, or the value with the reason. Nothing has changed in the latter case.
  /// - Complexity: O(1)
  @inlinable
  public static func boxing(
    _ value: consuming Value, in allocator: A, flags: AllocFlags = .kernel, node: NumaNode = .any
  ) -> BoxOutcome<Value, A> {
    do {
      let memory = try UninitBox<Value, A>(in: allocator, flags: flags, node: node)
      return .boxed(memory.initialize(to: value))
    } catch {
      return .refused(value, error)
    }
  }

  /// Takes memory, and only then makes the value in it.
  ///
  /// - Parameter body: Makes the value. It does not run if there is no memory.
  /// - Throws: ``InitError/allocation(_:)`` if there is no memory; ``InitError/initializer(_:)`` with what `body`
  ///   threw, after the memory went back. No value is destroyed in either case.
  /// - Complexity: O(1) and what `body` takes
  @inlinable
  public static func emplace<Failure: Error>(
    in allocator: A, flags: AllocFlags = .kernel, node: NumaNode = .any, _ body: () throws(Failure) -> Value
  ) throws(InitError<Failure>) -> Box {
    let memory: UninitBox<Value, A>
    do { memory = try UninitBox<Value, A>(in: allocator, flags: flags, node: node) } catch { throw .allocation(error) }
    do { return try memory.emplace(body) } catch { throw .initializer(error) }
  }

  /// A value all of whose bytes are zero.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``.
  /// - Complexity: O(size), or less where the memory is known to be zero
  @inlinable
  public static func zeroed(
    in allocator: A, flags: AllocFlags = .kernel, node: NumaNode = .any
  ) throws(AllocError) -> Box where Value: ZeroInitializable {
    let memory = try UninitBox<Value, A>(in: allocator, flags: flags.union(.zero), node: node)
    // SAFETY: the bytes are zero, and `ZeroInitializable` promises that they make a value.
    return unsafe memory.assumeInitialized()
  }
}

extension Box where Value: ~Copyable, A: GlobalAllocator {
  /// Moves a value into a block of its own.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``. **The value is destroyed then**; to keep it use
  ///   ``boxing(_:flags:node:)``, and to make it only once there is memory ``emplace(flags:node:_:)``.
  /// - Complexity: O(1)
  @inlinable @inline(__always)
  public init(
    _ value: consuming Value, flags: AllocFlags = .kernel, node: NumaNode = .any
  ) throws(AllocError) {
    try self.init(value, in: A(), flags: flags, node: node)
  }

  /// Moves a value into a block of its own, or hands it back. See ``boxing(_:in:flags:node:)``.
  @inlinable
  public static func boxing(
    _ value: consuming Value, flags: AllocFlags = .kernel, node: NumaNode = .any
  ) -> BoxOutcome<Value, A> {
    boxing(value, in: A(), flags: flags, node: node)
  }

  /// Takes memory, and only then makes the value in it. See ``emplace(in:flags:node:_:)``.
  @inlinable
  public static func emplace<Failure: Error>(
    flags: AllocFlags = .kernel, node: NumaNode = .any, _ body: () throws(Failure) -> Value
  ) throws(InitError<Failure>) -> Box {
    try emplace(in: A(), flags: flags, node: node, body)
  }

  /// A value all of whose bytes are zero. See ``zeroed(in:flags:node:)``.
  @inlinable
  public static func zeroed(flags: AllocFlags = .kernel, node: NumaNode = .any) throws(AllocError) -> Box
  where Value: ZeroInitializable {
    try zeroed(in: A(), flags: flags, node: node)
  }
}

extension Box {
  /// A box of a copy of the value, from the same allocator.
  ///
  /// - Throws: `AllocError`, as ``Allocator/allocate(_:flags:node:)``; nothing was copied then.
  /// - Complexity: O(1) and what a copy takes
  @inlinable
  public func tryClone(flags: AllocFlags = .kernel, node: NumaNode = .any) throws(AllocError) -> Box {
    let memory = try UninitBox<Value, A>(in: allocator, flags: flags, node: node)
    return memory.initialize(to: value)
  }
}
