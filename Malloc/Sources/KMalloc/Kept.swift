// Large blocks that were freed and wait, with the page behind them, for somebody who wants one of their length.
//
//     length     0    1    2    3    4 …  15
//     KiB       40   48   56   64   80 … 512        256 words for each: an address, or 0
//
// A block is put into an empty word and taken out of one, from a random one on, by an exchange: no lock, and a thread stopped anywhere
// keeps one block at most. Above 16 MiB in all, lengths in turn lose one.

#if HARDENED

  import CMalloc
  import Slab

  enum Kept {
    static let largest = 512 << 10
    static let lengths = 16
    static let places = 256
    private static let mostBytes: UInt64 = 16 << 20
    private static nonisolated(unsafe) var heldBytes: UInt64 = 0
    private static nonisolated(unsafe) var turn: UInt64 = 0

    /// `nil`: no block of so many bytes is kept.
    static func index(_ bytes: Int) -> Int? {
      if bytes > largest { return nil }
      let log = Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount
      let index = (log - 15) * 4 + ((bytes - 1) >> (log - 2)) & 3
      return Kept.bytes(index) == bytes ? index : nil
    }

    static func bytes(_ index: Int) -> Int { (5 + index & 3) << (13 + index >> 2) }

    private static func word(_ index: Int, _ place: Int) -> AtomicWord {
      // SAFETY: the words live as long as the process; both are in range.
      unsafe AtomicWord(km_kept_words() + (index * places + place & (places - 1)))
    }

    private static var held: AtomicWord { unsafe AtomicWord(&heldBytes) }

    /// Relaxed: a sum.
    static var isOverfull: Bool { held.loadRelaxed() > mostBytes }

    static func take(_ index: Int) -> UnsafeMutableRawPointer? {
      let start = Hardened.random(below: places)
      for place in start..<start + places where word(index, place).loadRelaxed() != 0 {
        // (B) the block's last use by its former owner.
        let found = word(index, place).exchangeAcquireRelease(0)
        if found == 0 { continue }
        _ = held.fetchSubtractRelaxed(UInt64(bytes(index)))
        return unsafe UnsafeMutableRawPointer(bitPattern: UInt(found))
      }
      return nil
    }

    /// Of the lengths in turn.
    static func takeAny() -> (UnsafeMutableRawPointer, Int)? {
      // Relaxed: any turn will do.
      let start = Int(truncatingIfNeeded: unsafe AtomicWord(&turn).fetchAddRelaxed(1) % UInt64(lengths))
      for index in start..<start + lengths {
        if let found = unsafe take(index % lengths) { return unsafe (found, index % lengths) }
      }
      return nil
    }

    /// Returns the block that must leave for it, if any.
    static func put(_ block: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer? {
      let start = Hardened.random(below: places)
      let place = (start..<start + places).first { word(index, $0).loadRelaxed() == 0 } ?? start
      _ = held.fetchAddRelaxed(UInt64(bytes(index)))
      // (B) the block's bytes as they were left.
      let other = word(index, place).exchangeAcquireRelease(UInt64(UInt(bitPattern: block)))
      if other != 0 { _ = held.fetchSubtractRelaxed(UInt64(bytes(index))) }
      return unsafe UnsafeMutableRawPointer(bitPattern: UInt(other))
    }
  }

#endif
