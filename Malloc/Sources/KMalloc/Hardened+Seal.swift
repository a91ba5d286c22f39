// What stands behind the bytes of a block in the hardened variant, and the look at it.
//
//     │ size bytes of the program's │ canary bytes │ seal │
//                 live:  seal = size ^ key        freed:  seal = mark of a freed block ^ key
//
// The key and the canary's byte follow from the address and a secret of the process.

#if HARDENED

  import CMalloc
  import Slab

  extension Hardened {
    private static nonisolated(unsafe) var secretWord: UInt64 = 0

    /// Never 0. The first of several threads that are here first decides.
    private static var secret: UInt64 {
      let word = unsafe AtomicWord(&secretWord)
      let found = word.loadRelaxed()
      if found != 0 { return found }
      let mine = km_random() | 1
      let seen = word.compareExchangeRelaxed(0, mine)
      return seen == 0 ? mine : seen
    }

    /// `mark` is 0 or `unguarded`.
    static func close(_ block: UnsafeMutableRawPointer, _ size: Int, _ usable: Int, _ mark: UInt64 = 0) {
      let key = unsafe key(block)
      let canary = canary(key)
      let end = canaryEnd(size, usable)
      if end &- size > wordwise {
        unsafe (block + size).initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: canary), count: end &- size)
      } else {
        unsafe forEachWord(block, from: size, to: end) { word, mask in
          unsafe word.pointee = word.pointee & ~mask | canary & mask
        }
      }
      unsafe block.storeBytes(of: UInt64(size) ^ mark ^ key, toByteOffset: usable &- seal, as: UInt64.self)
    }

    /// Whether the canaries are those of a block of `size` bytes.
    private static func isClosed(_ block: UnsafeMutableRawPointer, _ size: Int, _ usable: Int, _ key: UInt64) -> Bool {
      let canary = canary(key)
      let end = canaryEnd(size, usable)
      if end &- size > wordwise { return unsafe km_is_filled(block + size, UInt8(truncatingIfNeeded: canary), end &- size) }
      var wrong: UInt64 = 0
      unsafe forEachWord(block, from: size, to: end) { word, mask in unsafe wrong |= (word.pointee ^ canary) & mask }
      return wrong == 0
    }

    /// `bytes` is a multiple of 8.
    static func isZero(_ block: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
      if bytes > wordwise { return unsafe km_is_filled(block, 0, bytes) }
      var all: UInt64 = 0
      unsafe forEachWord(block, from: 0, to: bytes) { word, _ in unsafe all |= word.pointee }
      return all == 0
    }

    /// Most blocks have fewer canary bytes, which a call would cost more than.
    private static let wordwise = 128

    /// Calls `body` with each aligned word that has bytes of `start` ..< `end`, which are those of the mask. `end` is a multiple of 8.
    @unsafe @inline(__always)
    private static func forEachWord(
      _ block: UnsafeMutableRawPointer, from start: Int, to end: Int, _ body: (UnsafeMutablePointer<UInt64>, UInt64) -> Void
    ) {
      let words = unsafe block.assumingMemoryBound(to: UInt64.self)
      var offset = end &- 8
      while offset >= start {
        unsafe body(words + offset &>> 3, ~0)
        offset &-= 8
      }
      // The byte at the higher address is the more significant one.
      let rest = offset &+ 8 &- start
      if rest > 0 { unsafe body(words + offset &>> 3, ~0 &<< UInt64(truncatingIfNeeded: 64 &- rest &* 8)) }
    }

    /// Up to the seal, but at most a page: a large block's room may be larger, and is not to be touched for this.
    private static func canaryEnd(_ size: Int, _ usable: Int) -> Int { min(usable &- seal, size &+ guardBytes) }

    /// Seals a block anew for a size that it has room for and that is most of it; false: it must move.
    static func resize(_ block: UnsafeMutableRawPointer, to size: Int, _ usable: Int, _ isLarge: Bool) -> Bool {
      guard size <= usable - seal, size > usable / 2 else { return false }
      unsafe close(block, size, usable, isLarge ? mark(block, usable) : 0)
      return true
    }

    /// Whoever frees a block a second time finds the mark there.
    static func sealWord(_ block: UnsafeMutableRawPointer, _ usable: Int) -> AtomicWord {
      // SAFETY: the last word of a block, which is aligned and outlives the handle.
      unsafe AtomicWord((block + (usable &- seal)).assumingMemoryBound(to: UInt64.self))
    }

    static func key(_ block: UnsafeMutableRawPointer) -> UInt64 {
      secret ^ UInt64(UInt(bitPattern: block)) &* 0x9e37_79b9_7f4a_7c15
    }
    /// Eight times the byte, which is never 0.
    private static func canary(_ key: UInt64) -> UInt64 { (key &>> 40 & 0xff | 1) &* 0x0101_0101_0101_0101 }

    /// A live block's size, the bytes up to the end of its seal, and whether it is a large one. Ends the process where it is none.
    static func check(_ block: UnsafeMutableRawPointer, _ call: Call) -> (size: Int, usable: Int, isLarge: Bool) {
      let address = UInt(bitPattern: block)
      guard let whole = unsafe Heap.global.usableSize(of: block) else {
        // Nothing begins there, so nothing is freed: the heap says whether a large block did.
        call.fail(unsafe Heap.global.deallocateUnsized(block) ?? .foreign, address)
      }
      let isLarge = isLarge(whole)
      let usable = isLarge ? whole &- guardBytes : whole
      let key = unsafe key(block)
      var found = unsafe block.load(fromByteOffset: usable &- seal, as: UInt64.self) ^ key
      if found == freed { call.fail(.doubleFree, address) }
      if isLarge { found &= ~unguarded }
      guard found <= UInt64(usable &- seal) else {
        // In memory that was never handed out the seal is zero.
        call.fail("overflow, or a block that was never allocated: the seal behind it is broken", address)
      }
      let size = Int(truncatingIfNeeded: found)
      if unsafe !isClosed(block, size, usable, key) { call.fail("overflow: the bytes behind the block were written", address) }
      return (size, usable, isLarge)
    }
  }

#endif
