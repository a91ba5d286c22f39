// The compare-exchange loops of the page allocator: all of them. A retry means that another thread changed the word,
// so somebody has advanced: lock-free.
//
// One for each kind of word, and not a generic one: a debug build asks Swift's runtime for a generic function's metadata at
// each call, and under ThreadSanitizer the runtime takes a lock for that, which a forked child may inherit locked.

extension AtomicWord {
  /// Applies `transition` until it is either stored or refused.
  ///
  /// Acquire: what the thread that wrote the found value published is seen; the caller names the label.
  /// The load is relaxed: its value is only a guess that the compare-exchange verifies.
  /// - Returns: the value before; nil where the transition was refused.
  @inline(__always)
  func updateAcquire(_ transition: (Row) -> Row?) -> Row? {
    var found = loadRelaxed()
    while let next = transition(Row(bits: found)) {
      let seen = compareExchangeAcquire(found, next.bits)  // (caller)
      if seen == found { return Row(bits: found) }
      found = seen
    }
    return nil
  }
}

extension AtomicWord32 {
  /// As for `AtomicWord`.
  @inline(__always)
  func updateAcquire(_ transition: (BlockWord) -> BlockWord?) -> BlockWord? {
    var found = loadRelaxed()
    while let next = transition(BlockWord(bits: found)) {
      let seen = compareExchangeAcquire(found, next.bits)  // (caller)
      if seen == found { return BlockWord(bits: found) }
      found = seen
    }
    return nil
  }
}
