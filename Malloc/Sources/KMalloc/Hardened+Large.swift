// The hardened variant's large blocks, above 32 KiB with their seal.
//
//     │ size bytes of the program's │ a page of canary bytes at most │ room │ seal │ a page that cannot be touched │
//
// Up to 512 KiB sizes are rounded to four for each doubling, and two freed blocks of each are kept, zeroed and with that page as it is,
// for the next of that size: to change a page's protection costs thousands of times what an allocation does. Larger ones are zeroed,
// above 16 MiB by giving their pages back but for the seal's: that makes every CPU that runs the process flush its addresses, which costs
// more than to write less than this. The seal of every freed one is the mark of a freed block.
//
// Each such page costs the process two of the mappings that the kernel allows it, 65530 usually: at most 16384 blocks have one, the
// others only their canaries. The seal says which.

#if HARDENED

  import CMalloc
  import Slab

  extension Hardened {
    // MARK: Guard pages

    /// In the seal of a large block: no page behind it is protected.
    static let unguarded: UInt64 = 1 << 63
    private static let mostGuards: UInt64 = 16384
    private static nonisolated(unsafe) var guards: UInt64 = 0

    /// What the seal of a live block has beside its size.
    static func mark(_ block: UnsafeMutableRawPointer, _ usable: Int) -> UInt64 {
      if let whole = unsafe Heap.global.usableSize(of: block), !isLarge(whole) { return 0 }
      return unsafe (block.load(fromByteOffset: usable - seal, as: UInt64.self) ^ key(block)) & unguarded
    }

    /// Protects a page; false: there are too many, or the kernel refuses. Relaxed: a count.
    static func guarded(_ page: UnsafeMutableRawPointer) -> Bool {
      let count = unsafe AtomicWord(&guards)
      if count.fetchAddRelaxed(1) < mostGuards, unsafe km_protect(page, guardBytes, false) { return true }
      _ = count.fetchSubtractRelaxed(1)
      return false
    }

    /// False: the page is as it was.
    private static func opened(_ page: UnsafeMutableRawPointer) -> Bool {
      guard unsafe km_protect(page, guardBytes, true) else { return false }
      _ = unsafe AtomicWord(&guards).fetchSubtractRelaxed(1)
      return true
    }

    // MARK: Large blocks

    /// The room of a large block. With the page behind it, it is one of the heap's lengths (`RunClass`): four for each doubling as far as
    /// blocks are kept, pages above.
    static func roundedLarge(_ bytes: Int) -> Int {
      let least = max(bytes, SizeClass.maximumBytes + seal) + guardBytes
      let step = least > largestKept ? 4096 : 1 << (Int.bitWidth - 3 - (least - 1).leadingZeroBitCount)
      return (least + step - 1) & ~(step - 1) - guardBytes
    }

    /// With the page behind it.
    private static let largestKept = 512 << 10

    private static let largestZeroed = 16 << 20

    /// One of the two words of such a room.
    private static func kept(_ room: Int) -> AtomicWord {
      let length = room + guardBytes
      let log = Int.bitWidth - 1 - length.leadingZeroBitCount
      let index = (log * 4 + (length >> (log - 2)) & 3) * 2 + Int(truncatingIfNeeded: random() & 1)
      // SAFETY: the words live as long as the process; a length is 2^15 ... 2^19 bytes.
      return unsafe AtomicWord(km_kept_words() + (index - 15 * 8))
    }

    static func takeKept(_ room: Int) -> UnsafeMutableRawPointer? {
      if room + guardBytes > largestKept { return nil }
      // (B) the block's last use by its former owner.
      return unsafe UnsafeMutableRawPointer(bitPattern: UInt(kept(room).exchangeAcquireRelease(0)))
    }

    static func freeLarge(_ block: UnsafeMutableRawPointer, _ room: Int, _ call: Call) {
      // Whoever frees it a second time finds this, wherever the block lies by then; of two threads that do it at once one gets on. (B)
      let sealed = unsafe AtomicWord((block + (room - seal)).assumingMemoryBound(to: UInt64.self))
        .exchangeAcquireRelease(freed ^ key(block)) ^ key(block)
      if sealed == freed { call.fail(.doubleFree, UInt(bitPattern: block)) }
      let isGuarded = sealed & unguarded == 0
      let keeps = room + guardBytes <= largestKept && room == roundedLarge(room)
      // The page of the seal stays.
      let discarded = room > largestZeroed ? room - guardBytes : 0
      if discarded > 0 { unsafe km_discard(block, discarded) }
      unsafe (block + discarded).initializeMemory(as: UInt8.self, repeating: 0, count: room - seal - discarded)
      if !isGuarded { return unsafe release(block, call) }
      var leaving = unsafe block
      if keeps {
        // (B)
        let other = kept(room).exchangeAcquireRelease(UInt64(UInt(bitPattern: block)))
      guard let old = unsafe UnsafeMutableRawPointer(bitPattern: UInt(other)) else { return }
        unsafe leaving = old
        unsafe verifyUntouched(leaving, room)
      }
      // A page that stays protected must not come to another owner: its block is lost, and still marked as freed.
      if unsafe opened(leaving + room) { unsafe release(leaving, call) }
    }
  }

#endif
