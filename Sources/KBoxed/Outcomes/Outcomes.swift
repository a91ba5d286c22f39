/// What became of a value handed to a box or a collection: kept, or handed back with the reason.
///
/// An error cannot carry a noncopyable value, so the operations that must not lose one answer with this instead of
/// throwing. Switch over it, or take the value with ``handedBack()``.
///
/// ```swift
/// switch vector.push(connection) {
/// case .stored: break
/// case .refused(let connection, .outOfMemory): close(connection)
/// case .refused(let connection, _): retryLater(connection)
/// }
/// ```
public enum PushOutcome<Element: ~Copyable, Reason: Error>: ~Copyable {
  /// The collection holds the value now.
  case stored
  /// The collection is as it was, and here is the value.
  case refused(Element, Reason)
}

extension PushOutcome: Sendable where Element: Sendable & ~Copyable {}

extension PushOutcome where Element: ~Copyable {
  /// Whether the collection holds the value now.
  @inlinable
  public var isStored: Bool {
    switch self {
    case .stored: true
    case .refused: false
    }
  }

  /// Why not, or `nil` where the collection holds the value now.
  @inlinable
  public var reason: Reason? {
    switch self {
    case .stored: nil
    case .refused(_, let reason): reason
    }
  }

  /// The value, if it was handed back.
  @inlinable
  public consuming func handedBack() -> Element? {
    // Not a `switch`: Swift 6.3 crashes on one that takes both payloads of a generic case apart.
    if case .refused(let element, let reason) = consume self {
      _ = reason
      return element
    }
    return nil
  }
}

/// What became of a value that was to be boxed: a box of it, or the value itself with the reason.
public enum BoxOutcome<Value: ~Copyable, A: Allocator>: ~Copyable {
  /// The value is in the box.
  case boxed(Box<Value, A>)
  /// There was no memory, and here is the value.
  case refused(Value, AllocError)
}

extension BoxOutcome: Sendable where Value: Sendable & ~Copyable {}

extension BoxOutcome where Value: ~Copyable {
  /// The box, if there is one; otherwise the value is destroyed.
  @inlinable
  public consuming func boxed() -> Box<Value, A>? {
    if case .boxed(let box) = consume self { return box }
    return nil
  }

  /// The value, if it was handed back; otherwise the box is destroyed.
  @inlinable
  public consuming func handedBack() -> Value? {
    if case .refused(let value, let error) = consume self {
      _ = error
      return value
    }
    return nil
  }
}
