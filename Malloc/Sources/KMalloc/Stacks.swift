// The stacks of a heap profile: a table of fixed size, without a lock.
//
//     entry   key │ depth │ blocks in use │ their bytes │ blocks ever │ their bytes │ frames, the innermost first
//
// The key is a hash of the frames; two stacks with one hash would pass for one. Whoever puts the key in writes the frames and then the
// depth, until which the entry counts but is not shown.

import CMalloc
import Slab

/// ## Invariants
/// `base` is the first of `bytes`, zero at first, that stay mapped.
@safe
struct Stacks {
  private nonisolated(unsafe) let base: UnsafeMutableRawPointer

  static let entries = 1 << 14
  static let words = 64
  static let frames = words - 6
  static var bytes: Int { entries * words * 8 }

  /// > Safety: see the invariants.
  @unsafe init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

  private enum Field: Int {
    case key, depth, blocks, bytes, allBlocks, allBytes
  }

  private func words(_ entry: Int) -> UnsafeMutablePointer<UInt64> {
    unsafe base.assumingMemoryBound(to: UInt64.self) + entry &* Stacks.words
  }

  private func word(_ entry: Int, _ field: Field) -> AtomicWord { unsafe AtomicWord(words(entry) + field.rawValue) }

  /// The entry of the stack that this is called from; `nil`: the table is full.
  func current() -> Int? {
    unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Stacks.frames) { frames in
      let count = unsafe km_stack(frames.baseAddress.unsafelyUnwrapped, Stacks.frames)
      return unsafe find(UnsafeBufferPointer(rebasing: frames[0..<count]))
    }
  }

  private func find(_ frames: UnsafeBufferPointer<UInt64>) -> Int? {
    var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
    for index in 0..<frames.count {
      unsafe hash = (hash ^ frames[index]) &* 0xff51_afd7_ed55_8ccd
      hash ^= hash &>> 32
    }
    let key = hash | 1
    for probe in 0..<64 {
      let entry = (Int(truncatingIfNeeded: hash &>> 32) &+ probe) & (Stacks.entries - 1)
      let word = word(entry, .key)
      // Relaxed: the counts belong to whoever has the key; the frames are published by the depth.
      let found = word.loadRelaxed() != 0 ? word.loadRelaxed() : word.compareExchangeRelaxed(0, key)
      if found == key { return entry }
      if found != 0 { continue }
      for index in 0..<frames.count {
        unsafe AtomicWord(words(entry) + (Stacks.words - Stacks.frames + index)).storeRelaxed(frames[index])
      }
      // (D) release: the frames. One more than there are, so that it is not 0.
      self.word(entry, .depth).storeRelease(UInt64(frames.count) + 1)
      return entry
    }
    return nil
  }

  // MARK: Counts. Relaxed: sums, which publish nothing.

  func add(_ entry: Int, _ size: Int) {
    restore(entry, size)
    _ = word(entry, .allBlocks).fetchAddRelaxed(1)
    _ = word(entry, .allBytes).fetchAddRelaxed(UInt64(size))
  }

  func subtract(_ entry: Int, _ size: Int) {
    _ = word(entry, .blocks).fetchSubtractRelaxed(1)
    _ = word(entry, .bytes).fetchSubtractRelaxed(UInt64(size))
  }

  /// Undoes `subtract`.
  func restore(_ entry: Int, _ size: Int) {
    _ = word(entry, .blocks).fetchAddRelaxed(1)
    _ = word(entry, .bytes).fetchAddRelaxed(UInt64(size))
  }

  struct Counts {
    var blocks = 0
    var bytes = 0
    var allBlocks = 0
    var allBytes = 0

    mutating func add(_ other: Counts) {
      blocks += other.blocks
      bytes += other.bytes
      allBlocks += other.allBlocks
      allBytes += other.allBytes
    }

    /// As the format has them: `blocks: bytes [all: bytes]`.
    func write(_ text: inout Text) {
      text.write(blocks)
      text.write(": ")
      text.write(bytes)
      text.write(" [")
      text.write(allBlocks)
      text.write(": ")
      text.write(allBytes)
      text.write("]")
    }
  }

  /// Calls `body` with each entry that something was allocated from.
  func forEach(_ body: (Int, Counts) -> Void) {
    for entry in 0..<Stacks.entries where word(entry, .key).loadRelaxed() != 0 {
      // (D) acquire: the frames.
      if word(entry, .depth).loadAcquire() == 0 { continue }
      func count(_ field: Field) -> Int { Int(truncatingIfNeeded: word(entry, field).loadRelaxed()) }
      let counts = Counts(
        blocks: count(.blocks), bytes: count(.bytes), allBlocks: count(.allBlocks), allBytes: count(.allBytes))
      if counts.allBlocks > 0 { body(entry, counts) }
    }
  }

  func forEachFrame(_ entry: Int, _ body: (UInt64) -> Void) {
    let depth = Int(truncatingIfNeeded: word(entry, .depth).loadRelaxed()) - 1
    for index in 0..<depth {
      body(unsafe AtomicWord(words(entry) + (Stacks.words - Stacks.frames + index)).loadRelaxed())
    }
  }
}
