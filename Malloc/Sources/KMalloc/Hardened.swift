// The hardened variant: what the allocator can find out about the program's mistakes, at a price.
//
// A block for `size` bytes is followed by canaries up to the block's last word, which is sealed with the size:
//
//     │ size bytes of the program's │ canary bytes │ seal │        the seal = size ^ secret ^ address
//
// free looks at the canaries and the seal, writes zeros over the bytes and the mark of a freed block into the seal, and exchanges
// the address for another in the quarantine, at a random place: blocks come back late and in another order. What leaves the
// quarantine must still be zeros: a write after the free is found there. malloc exchanges what it got in the same way with
// a pool of its class, so that neighbours in memory are not neighbours in time.
//
// Large blocks are in `Hardened+Large.swift`.
//
// A word of the quarantine or a pool is one exchange: no lock, and a thread stopped anywhere keeps one block at most.
//
// The costs: 16 bytes and a pass over the block for each allocation and each free, two system calls for a large block that finds
// none kept, and the memory that is held back: in the quarantine at most 3 MiB, of large blocks at most 8 MiB.

#if HARDENED

  import CMalloc
  import Slab

  @c(km_malloc)
  public func malloc(_ size: Int) -> UnsafeMutableRawPointer? {
    unsafe allocateSlow(size, Alignment.natural, zero: false)
  }

  @c(km_free)
  public func free(_ block: UnsafeMutableRawPointer?) { unsafe freeSlow(block, .free) }

  @c(km_calloc)
  public func calloc(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
    let (bytes, overflow) = UInt(bitPattern: count).multipliedReportingOverflow(by: UInt(bitPattern: size))
    guard !overflow, let total = Int(exactly: bytes) else { return unsafe refused() }
    return unsafe allocateSlow(total, Alignment.natural, zero: true)
  }

  @c(km_malloc_usable_size)
  public func mallocUsableSize(_ block: UnsafeMutableRawPointer?) -> Int {
    guard let block = unsafe block else { return 0 }
    return unsafe Hardened.check(block, .mallocUsableSize).size
  }

  func allocateSlow(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
    Start.ensure()
    if Faults.areArmed && Faults.fail(size) { return unsafe refused() }
    guard let block = unsafe Hardened.allocate(size, alignment, zero: zero) else { return unsafe refused() }
    if Profile.isOn { unsafe Profile.allocated(block, size) }
    return unsafe block
  }

  func freeSlow(_ block: UnsafeMutableRawPointer?, _ call: Call) {
    guard let block = unsafe block else { return }
    if Profile.isOn { _ = unsafe Profile.forget(block) }
    unsafe Hardened.free(block, call)
  }

  func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int, _ call: Call) -> UnsafeMutableRawPointer? {
    let (old, usable) = unsafe Hardened.check(block, call)
    if unsafe Hardened.resize(block, to: size, usable) {
      if Profile.isOn {
        _ = unsafe Profile.forget(block)
        unsafe Profile.allocated(block, size)
      }
      return unsafe block
    }
    guard let moved = unsafe allocateSlow(size, Alignment.natural, zero: false) else { return nil }
    unsafe moved.copyMemory(from: block, byteCount: min(old, size))
    unsafe freeSlow(block, call)
    return unsafe moved
  }

  enum Hardened {
    static let seal = 8
    static let freed: UInt64 = 0xf4ee_d000_0000_0000
    static let guardBytes = 4096

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

    /// A number that an observer of addresses cannot tell in advance. Relaxed: two threads with one number do no harm.
    private static nonisolated(unsafe) var randomWord: UInt64 = 0
    static func random() -> UInt64 {
      var bits = unsafe AtomicWord(&randomWord).fetchAddRelaxed(0x9e37_79b9_7f4a_7c15) ^ secret
      bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
      bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
      return bits ^ bits >> 31
    }

    static func isLarge(_ usable: Int) -> Bool { usable > SizeClass.maximumBytes }

    // MARK: Allocation

    static func allocate(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
      guard size >= 0, size <= 1 << 62 else { return nil }
      let needed = size + seal
      let large = needed > SizeClass.maximumBytes || alignment > SizeClass.maximumAlignment
      let rounded = large ? roundedLarge(needed) : needed
      if large && alignment <= guardBytes, let block = unsafe takeKept(rounded) {
        unsafe verifyUntouched(block, rounded)
        unsafe close(block, size, rounded)
        return unsafe block
      }
      let wanted = large ? rounded + guardBytes : needed
      guard let block = unsafe take(wanted, alignment, zero: zero),
        let usable = unsafe Heap.global.usableSize(of: block)
      else { return nil }
      if isLarge(usable) {
        let mark = unsafe guarded(block + (usable - guardBytes)) ? 0 : unguarded
        unsafe close(block, size, usable - guardBytes, mark)
      } else {
        if zero { unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: size) }
        unsafe close(block, size, usable)
      }
      return unsafe block
    }

    /// A block of the heap, a large one zeroed where asked for; of a small class, another one than came.
    private static func take(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
      guard let sizeClass = SizeClass(size: size, alignment: alignment) else {
        let flags: AllocFlags = zero ? [.reclaim, .zero] : .kernel
        return unsafe (try? Heap.global.allocate(size: size, alignment: alignment, flags: flags, node: nil))?
          .baseAddress
      }
      guard let first = unsafe Heap.global.allocate(size: size, alignment: alignment) else { return nil }
      if sizeClass.bytes > 4096 { return unsafe first }
      let slot = pool(sizeClass.index, Int(truncatingIfNeeded: random() >> 32) & (poolSlots - 1))
      // Relaxed would do for the address, but the block's last use by its former owner comes with it. (B)
      let other = slot.exchangeAcquireRelease(UInt64(UInt(bitPattern: first)))
      if other != 0 { return unsafe UnsafeMutableRawPointer(bitPattern: UInt(other)) }
      // The place was empty: the block stays there, and another one is had.
      if let second = unsafe Heap.global.allocate(size: size, alignment: alignment) { return unsafe second }
      let back = slot.exchangeAcquireRelease(0)  // (B)
      return unsafe UnsafeMutableRawPointer(bitPattern: UInt(back))
    }

    /// `mark` is 0 or `unguarded`.
    static func close(_ block: UnsafeMutableRawPointer, _ size: Int, _ usable: Int, _ mark: UInt64 = 0) {
      let canary = unsafe canary(block)
      for offset in size..<canaryEnd(size, usable) {
        unsafe block.storeBytes(of: canary, toByteOffset: offset, as: UInt8.self)
      }
      unsafe block.storeBytes(
        of: UInt64(size) ^ mark ^ key(block), toByteOffset: usable - seal, as: UInt64.self)
    }

    /// Up to the seal, but at most a page: a large block's room may be larger, and is not to be touched for this.
    private static func canaryEnd(_ size: Int, _ usable: Int) -> Int { min(usable - seal, size + guardBytes) }

    /// Seals a block anew for a size that it has room for and that is most of it; false: it must move.
    static func resize(_ block: UnsafeMutableRawPointer, to size: Int, _ usable: Int) -> Bool {
      guard size <= usable - seal, size > usable / 2 else { return false }
      unsafe close(block, size, usable, mark(block, usable))
      return true
    }

    static func key(_ block: UnsafeMutableRawPointer) -> UInt64 {
      secret ^ UInt64(UInt(bitPattern: block)) &* 0x9e37_79b9_7f4a_7c15
    }
    private static func canary(_ block: UnsafeMutableRawPointer) -> UInt8 {
      UInt8(truncatingIfNeeded: unsafe key(block) >> 40) | 1
    }

    // MARK: Free

    /// The size of a live block, and the bytes up to the end of its seal. Ends the process where it is none.
    static func check(_ block: UnsafeMutableRawPointer, _ call: Call) -> (size: Int, usable: Int) {
      let address = UInt(bitPattern: block)
      guard let whole = unsafe Heap.global.usableSize(of: block) else {
        // Nothing begins there, so nothing is freed: the heap says whether a large block did.
        call.fail(unsafe Heap.global.deallocateUnsized(block) ?? .foreign, address)
      }
      let usable = isLarge(whole) ? whole - guardBytes : whole
      var found = unsafe block.load(fromByteOffset: usable - seal, as: UInt64.self) ^ key(block)
      if found == freed { call.fail(.doubleFree, address) }
      if isLarge(whole) { found &= ~unguarded }
      guard found <= UInt64(usable - seal) else {
        // In memory that was never handed out the seal is zero.
        call.fail("overflow, or a block that was never allocated: the seal behind it is broken", address)
      }
      let canary = unsafe canary(block)
      for offset in Int(found)..<canaryEnd(Int(found), usable)
      where unsafe block.load(fromByteOffset: offset, as: UInt8.self) != canary {
        call.fail("overflow: the bytes behind the block were written", address)
      }
      return (Int(found), usable)
    }

    static func free(_ block: UnsafeMutableRawPointer, _ call: Call) {
      let usable = unsafe check(block, call).usable
      if let whole = unsafe Heap.global.usableSize(of: block), isLarge(whole) {
        return unsafe freeLarge(block, usable, call)
      }
      unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: usable - seal)
      // Whoever frees it a second time finds this, here or in the quarantine.
      unsafe block.storeBytes(of: freed ^ key(block), toByteOffset: usable - seal, as: UInt64.self)
      let slot = quarantine(usable)
      // (B) the block's bytes as they were left.
      let other = slot.exchangeAcquireRelease(UInt64(UInt(bitPattern: block)))
      guard let old = unsafe UnsafeMutableRawPointer(bitPattern: UInt(other)) else { return }
      unsafe verifyUntouched(old)
      unsafe release(old, call)
    }

    static func release(_ block: UnsafeMutableRawPointer, _ call: Call) {
      if let fault = unsafe Heap.global.deallocateUnsized(block) { call.fail(fault, UInt(bitPattern: block)) }
    }

    /// What leaves the quarantine is as it went in.
    private static func verifyUntouched(_ block: UnsafeMutableRawPointer) {
      guard let usable = unsafe Heap.global.usableSize(of: block) else { Call.free.fail(.foreign, UInt(bitPattern: block)) }
      unsafe verifyUntouched(block, usable)
    }

    static func verifyUntouched(_ block: UnsafeMutableRawPointer, _ usable: Int) {
      let address = UInt(bitPattern: block)
      var offset = 0
      var all: UInt64 = 0
      while offset < usable - seal {
        unsafe all |= block.load(fromByteOffset: offset, as: UInt64.self)
        offset += 8
      }
      let intact = unsafe block.load(fromByteOffset: usable - seal, as: UInt64.self) == freed ^ key(block)
      if all != 0 || !intact {
        Call.free.fail("the block was written after it was freed (found in quarantine)", address)
      }
    }

    // MARK: Words

    private static let poolSlots = 16
    private static let quarantineSlots = 1024

    private static func pool(_ sizeClass: Int, _ index: Int) -> AtomicWord {
      // SAFETY: the words live as long as the process; both indices are in range.
      unsafe AtomicWord(km_pool_words() + (sizeClass * poolSlots + index))
    }

    /// A random place for a block of so many bytes. Blocks above 1 KiB have a sixteenth of the places: 3 MiB in all.
    private static func quarantine(_ bytes: Int) -> AtomicWord {
      let slots = bytes > 1024 ? quarantineSlots / 16 : quarantineSlots
      return unsafe AtomicWord(km_quarantine_words() + Int(truncatingIfNeeded: random() >> 32) & (slots - 1))
    }
  }

#endif
