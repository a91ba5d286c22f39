/// A small value that lives in one shared word, and changes by pure transitions.
protocol SharedValue {
  associatedtype Bits: FixedWidthInteger
  init(bits: Bits)
  var bits: Bits { get }
}

// The compare-exchange loops of the page allocator: all of them. A retry means that another thread changed the word,
// so somebody has advanced: lock-free.

extension AtomicWord {
  /// Applies `transition` until it is either stored or refused.
  ///
  /// Acquire: what the thread that wrote the found value published is seen; the caller names the label.
  /// The load is relaxed: its value is only a guess that the compare-exchange verifies.
  /// - Returns: the value before; nil where the transition was refused.
  @inline(__always)
  func updateAcquire<Value: SharedValue>(_ transition: (Value) -> Value?) -> Value? where Value.Bits == UInt64 {
    var found = loadRelaxed()
    while let next = transition(Value(bits: found)) {
      let seen = compareExchangeAcquire(found, next.bits)  // (caller)
      if seen == found { return Value(bits: found) }
      found = seen
    }
    return nil
  }
}

extension AtomicWord32 {
  /// As for `AtomicWord`.
  @inline(__always)
  func updateAcquire<Value: SharedValue>(_ transition: (Value) -> Value?) -> Value? where Value.Bits == UInt32 {
    var found = loadRelaxed()
    while let next = transition(Value(bits: found)) {
      let seen = compareExchangeAcquire(found, next.bits)  // (caller)
      if seen == found { return Value(bits: found) }
      found = seen
    }
    return nil
  }
}
