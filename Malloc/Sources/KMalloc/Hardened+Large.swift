// The hardened variant's large blocks, above 32 KiB with their seal.
//
//     │ size bytes of the program's │ a page of canary bytes at most │ room │ seal │ a page that cannot be touched │
//
// To protect a page costs thousands of times what an allocation does: the kernel splits a mapping, and where the page has memory
// every CPU that runs the process must be interrupted. So up to 512 KiB sizes are rounded to four for each doubling, and freed
// blocks are kept with that page as it is, for the next of that size: 256 of each size, 16 MiB in all. What is too much
// goes back to the heap, which a block's page is opened for.
//
// A freed block is zero at once. Pages that have no memory get none for that (`km_zero`); above 16 MiB all pages but the seal's
// are given back, although that interrupts those CPUs, too: to write more costs more. The seal is then the mark of a freed block.
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

    /// What the seal of a live large block has beside its size.
    static func mark(_ block: UnsafeMutableRawPointer, _ usable: Int) -> UInt64 {
      unsafe (block.load(fromByteOffset: usable - seal, as: UInt64.self) ^ key(block)) & unguarded
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
      let step = least > Kept.largest ? 4096 : 1 << (Int.bitWidth - 3 - (least - 1).leadingZeroBitCount)
      return (least + step - 1) & ~(step - 1) - guardBytes
    }

    private static let largestZeroed = 16 << 20

    static func allocateLarge(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
      let room = roundedLarge(size + seal)
      if (1...guardBytes).contains(alignment), let length = Kept.index(room + guardBytes), let block = unsafe Kept.take(length) {
        unsafe verifyUntouched(block, room)
        unsafe close(block, size, room)
        return unsafe block
      }
      let flags: AllocFlags = zero ? [.reclaim, .zero] : .kernel
      var result = unsafe Heap.global.tryAllocate(size: room + guardBytes, alignment: alignment, flags: flags, node: nil)
      if case .failure(let error) = unsafe result, error == .outOfMemory || error == .limitExceeded, drain() {
        unsafe result = Heap.global.tryAllocate(size: room + guardBytes, alignment: alignment, flags: flags, node: nil)
      }
      guard case .success(let block) = unsafe result, let start = block.baseAddress else { return nil }
      let usable = block.count - guardBytes
      unsafe close(start, size, usable, guarded(start + usable) ? 0 : unguarded)
      return unsafe start
    }

    private static func verifyUntouched(_ block: UnsafeMutableRawPointer, _ room: Int) {
      unsafe expectUntouched(block, room, isZero: km_is_zero(block, room - seal))
    }

    static func freeLarge(_ block: UnsafeMutableRawPointer, _ size: Int, _ room: Int, _ call: Call) {
      // As in `free`. (B)
      let sealed = unsafe sealWord(block, room).exchangeAcquireRelease(freed ^ key(block)) ^ key(block)
      if sealed & ~unguarded != UInt64(size) { call.fail(.doubleFree, UInt(bitPattern: block)) }
      // The page of the seal stays.
      let discarded = room > largestZeroed ? room - guardBytes : 0
      if discarded > 0 { unsafe km_discard(block, discarded) }
      unsafe km_zero(block + discarded, room - seal - discarded)
      if sealed & unguarded != 0 { return unsafe release(block, call) }
      guard let length = Kept.index(room + guardBytes) else { return unsafe open(block, room, call) }
      if let old = unsafe Kept.put(block, length) { unsafe retire(old, length, call) }
      while Kept.isOverfull, let (old, length) = unsafe Kept.takeAny() { unsafe retire(old, length, call) }
    }

    /// Gives the heap all that is kept; false: nothing was.
    static func releaseKept() -> Bool {
      var found = false
      // Not longer than for all that there may be, whatever others free meanwhile.
      for length in 0..<Kept.lengths {
        for _ in 0..<Kept.places {
          guard let block = unsafe Kept.take(length) else { break }
          unsafe retire(block, length, .free)
          found = true
        }
      }
      return found
    }

    /// Ends the keeping of a block.
    private static func retire(_ block: UnsafeMutableRawPointer, _ length: Int, _ call: Call) {
      let room = Kept.bytes(length) - guardBytes
      unsafe verifyUntouched(block, room)
      unsafe open(block, room, call)
    }

    /// Gives a block to the heap. A page that stays protected must not come to another owner: its block is lost, and still marked as freed.
    private static func open(_ block: UnsafeMutableRawPointer, _ room: Int, _ call: Call) {
      if unsafe opened(block + room) { unsafe release(block, call) }
    }
  }

#endif
