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
// The costs: 8 bytes and what rounding them up takes, a pass over the block for each allocation and each free, system calls for a
// large block that finds none kept, and the memory that is held back: at most 3 MiB in the quarantine, 1.2 MiB in the pools
// and 16 MiB of large blocks, until memory is short or the program calls malloc_trim (`drain`).

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
    let (old, usable, isLarge) = unsafe Hardened.check(block, call)
    if unsafe Hardened.resize(block, to: size, usable, isLarge) {
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

    /// A number below a power of two that an observer of addresses cannot tell in advance: the thread's own sequence (splitmix64).
    static func random(below limit: Int) -> Int {
      // SAFETY: this thread's own; a handler that comes in between takes the same number, which does no harm.
      let state = unsafe km_thread_random()
      if unsafe state.pointee == 0 { unsafe state.pointee = km_random() | 1 }
      unsafe state.pointee &+= 0x9e37_79b9_7f4a_7c15
      var bits = unsafe state.pointee
      bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
      bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
      return Int(truncatingIfNeeded: bits >> 32) & (limit - 1)
    }

    static func isLarge(_ usable: Int) -> Bool { usable > SizeClass.maximumBytes }

    // MARK: Allocation

    static func allocate(_ size: Int, _ alignment: Int, zero: Bool) -> UnsafeMutableRawPointer? {
      guard size >= 0, size <= 1 << 62 else { return nil }
      guard let sizeClass = SizeClass(size: size + seal, alignment: alignment) else {
        return unsafe allocateLarge(size, alignment, zero: zero)
      }
      // Where memory is short, what is held back serves for others.
      guard let block = unsafe take(sizeClass, alignment) ?? (drain() ? take(sizeClass, alignment) : nil) else { return nil }
      if zero { unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: size) }
      unsafe close(block, size, sizeClass.bytes)
      return unsafe block
    }

    /// An object of the class, another one than the heap gave.
    private static func take(_ sizeClass: SizeClass, _ alignment: Int) -> UnsafeMutableRawPointer? {
      guard let first = unsafe Heap.global.allocate(size: sizeClass.bytes, alignment: alignment) else { return nil }
      let slot = pool(sizeClass)
      // Relaxed would do for the address, but the block's last use by its former owner comes with it. (B)
      let other = slot.exchangeAcquireRelease(UInt64(UInt(bitPattern: first)))
      if other != 0 { return unsafe UnsafeMutableRawPointer(bitPattern: UInt(other)) }
      // The place was empty: the block stays there, and another one is had.
      if let second = unsafe Heap.global.allocate(size: sizeClass.bytes, alignment: alignment) { return unsafe second }
      let back = slot.exchangeAcquireRelease(0)  // (B)
      return unsafe UnsafeMutableRawPointer(bitPattern: UInt(back))
    }

    // MARK: Free

    static func free(_ block: UnsafeMutableRawPointer, _ call: Call) {
      let (size, usable, isLarge) = unsafe check(block, call)
      if isLarge { return unsafe freeLarge(block, size, usable, call) }
      // Whoever frees it a second time finds the mark, here or in the quarantine; of two threads that free it at once one gets on. (B)
      let key = unsafe key(block)
      let sealed = unsafe sealWord(block, usable).exchangeAcquireRelease(freed ^ key)
      if sealed != UInt64(size) ^ key { call.fail(.doubleFree, UInt(bitPattern: block)) }
      unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: usable &- seal)
      // (B) the block's bytes as they were left.
      let other = quarantine(usable).exchangeAcquireRelease(UInt64(UInt(bitPattern: block)))
      guard let old = unsafe UnsafeMutableRawPointer(bitPattern: UInt(other)) else { return }
      unsafe leaveQuarantine(old, call)
    }

    private static func leaveQuarantine(_ block: UnsafeMutableRawPointer, _ call: Call) {
      guard let usable = unsafe Heap.global.usableSize(of: block) else { call.fail(.foreign, UInt(bitPattern: block)) }
      unsafe expectUntouched(block, usable, isZero: isZero(block, usable &- seal))
      unsafe release(block, call)
    }

    /// Back to the heap.
    static func release(_ block: UnsafeMutableRawPointer, _ call: Call) {
      if Heap.global.deallocateCached(UInt(bitPattern: block)) { return }
      if let fault = unsafe Heap.global.deallocateUnsized(block) { call.fail(fault, UInt(bitPattern: block)) }
    }

    /// What leaves the quarantine is as it went in.
    static func expectUntouched(_ block: UnsafeMutableRawPointer, _ usable: Int, isZero: Bool) {
      let isMarked = unsafe block.load(fromByteOffset: usable &- seal, as: UInt64.self) == freed ^ key(block)
      if isZero && isMarked { return }
      Call.free.fail("the block was written after it was freed (found in quarantine)", UInt(bitPattern: block))
    }

    /// Gives the heap all that is held back, and looks at what was freed; false: nothing was.
    static func drain() -> Bool {
      var found = releaseKept()
      for index in 0..<quarantineSlots {
        // (B)
        let word = unsafe AtomicWord(km_quarantine_words() + index).exchangeAcquireRelease(0)
        guard let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(word)) else { continue }
        unsafe leaveQuarantine(block, .free)
        found = true
      }
      for index in 0..<SizeClass.count * poolSlots {
        // (B)
        let word = unsafe AtomicWord(km_pool_words() + index).exchangeAcquireRelease(0)
        guard let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(word)) else { continue }
        unsafe release(block, .free)
        found = true
      }
      return found
    }

    // MARK: Words

    private static let poolSlots = 16
    private static let quarantineSlots = 1024

    /// A random place for a block of the class. Classes above 4 KiB have a fourth of the places: 1.2 MiB in all.
    private static func pool(_ sizeClass: SizeClass) -> AtomicWord {
      let place = random(below: sizeClass.bytes > 4096 ? poolSlots / 4 : poolSlots)
      // SAFETY: the words live as long as the process; both indices are in range.
      return unsafe AtomicWord(km_pool_words() + (sizeClass.index &* poolSlots &+ place))
    }

    /// A random place for a block of so many bytes. Blocks above 1 KiB have a sixteenth of the places: 3 MiB in all.
    private static func quarantine(_ bytes: Int) -> AtomicWord {
      // SAFETY: as for the pools.
      unsafe AtomicWord(km_quarantine_words() + random(below: bytes > 1024 ? quarantineSlots / 16 : quarantineSlots))
    }
  }

#endif
