/// A row of shared 64-bit words in memory that is not Swift's: element `i` is an `AtomicWord`.
///
/// Thread-safety: Concurrent.
///
/// ## Invariants
/// The memory is 8-byte aligned, outlives the handle, and holds every index that is used: indices are not checked.
@safe
struct WordArray: Sendable {
  nonisolated(unsafe) let base: UnsafeMutablePointer<UInt64>

  /// > Safety: `base` is 8-byte aligned and the words from it on are touched by atomic operations only.
  @unsafe init(_ base: UnsafeMutableRawPointer) {
    unsafe self.base = base.assumingMemoryBound(to: UInt64.self)
  }

  @inline(__always)
  subscript(index: Int) -> AtomicWord {
    // SAFETY: the invariants of this type are those that AtomicWord asks for.
    unsafe AtomicWord(base + index)
  }
}

/// A row of shared bytes in memory that is not Swift's: element `i` is an `AtomicByte`.
///
/// Thread-safety: Concurrent.
///
/// ## Invariants
/// The memory outlives the handle and holds every index that is used: indices are not checked.
@safe
struct ByteArray: Sendable {
  nonisolated(unsafe) let base: UnsafeMutablePointer<UInt8>

  /// > Safety: the bytes from `base` on are touched by atomic operations only.
  @unsafe init(_ base: UnsafeMutableRawPointer) {
    unsafe self.base = base.assumingMemoryBound(to: UInt8.self)
  }

  @inline(__always)
  subscript(index: Int) -> AtomicByte {
    // SAFETY: the invariants of this type are those that AtomicByte asks for.
    unsafe AtomicByte(base + index)
  }
}
