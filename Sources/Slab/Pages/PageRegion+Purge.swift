// Giving memory back to the operating system, while others allocate and free.
//
// Purge takes free frames that are dirty as any caller would, so nobody can be given them during the system call,
// marks them clean, and frees them. Whole blocks first: one call for 2 MiB, and a large page stays one. What it holds
// during the call is missing for others for that time, at most one block.

import KAllocAtomics

extension PageRegion {
  /// Gives the memory of free frames back; they read as zero when they are next allocated.
  ///
  /// - Parameters:
  ///   - budget: the most frames to release.
  ///   - age: leave alone blocks that had a frame freed in the last so many milliseconds; 0 takes all. Ages count
  ///     from the first purge that saw the block, so a positive age releases nothing the first time.
  ///   - now: `ka_os_milliseconds()`.
  /// - Returns: the dirty frames released.
  /// - Complexity: O(blocks in use) and one system call per run released.
  ///
  /// Concurrent. Nothing to do for `.given` regions: 0.
  public func purge(upTo budget: Int, olderThan age: UInt64 = 0, now: UInt64 = 0) -> Int {
    purge(0..<high, upTo: budget, olderThan: age, now: now)
  }

  /// As above, in some of the blocks, all below `high`.
  func purge(_ blocks: Range<Int>, upTo budget: Int, olderThan age: UInt64, now: UInt64) -> Int {
    guard isReserved, budget > 0 else { return 0 }
    var released = 0
    // The highest first: the lowest are the next to be allocated.
    for block in blocks.reversed() where released < budget {
      let usable = usable(block)
      guard state(block).free == usable.count, let since = due(block, age: age, now: now) else { continue }
      guard takeExact(usable, growing: false) == .taken else { continue }
      // The age is reset while no frame of the block can be freed: what is freed later makes it fresh again (D).
      released += purgeWhole(block, usable, since: since, budget: budget - released)
    }
    for block in blocks.reversed() where released < budget {
      guard state(block).isPresent, let since = due(block, age: age, now: now) else { continue }
      released += purgeParts(block, since: since, budget: budget - released)
    }
    return released
  }

  /// The age of a block that is to be purged; nil for one that is clean or too young.
  private func due(_ block: Int, age: UInt64, now: UInt64) -> BlockAge? {
    let word = ageWord(block)
    // Relaxed: a time, and no more than a time. A free that comes meanwhile wins.
    let found = BlockAge(bits: word.loadRelaxed())
    if age > 0, let seen = found.seen(now) { _ = word.compareExchangeRelaxed(found.bits, seen.bits) }
    return found.isOlder(than: age, now: now) ? found : nil
  }

  /// Says that a block has dirty free frames again, unless a free has said so meanwhile.
  private func restore(_ block: Int, _ since: BlockAge) {
    // Relaxed: as in `due`.
    _ = ageWord(block).compareExchangeRelaxed(BlockAge.clean.bits, since.bits)
  }

  private func purgeWhole(_ block: Int, _ usable: Range<Int>, since: BlockAge, budget: Int) -> Int {
    let rows = block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock
    var dirty = 0
    for row in rows { dirty += dirtyWord(row).loadRelaxed().nonzeroBitCount }
    var done = false
    if dirty > 0 && dirty <= budget {
      _ = ageWord(block).exchangeSequentiallyConsistent(BlockAge.clean.bits)  // (D) purge resets the age
      // SAFETY: this thread owns every frame of the block, and nobody uses them.
      done = unsafe ka_os_purge(address(of: FrameIndex(usable.lowerBound)), usable.count << frameShift)
      // Relaxed: the owner's bits; giving the frames back publishes them (A).
      if done { for row in rows { dirtyWord(row).storeRelaxed(0) } } else { restore(block, since) }
    }
    giveBack(usable)
    return done ? dirty : 0
  }

  private func purgeParts(_ block: Int, since: BlockAge, budget: Int) -> Int {
    _ = ageWord(block).exchangeSequentiallyConsistent(BlockAge.clean.bits)  // (D) purge resets the age
    var released = 0
    var left = false
    for row in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
      let bits = rowWord(row).loadSequentiallyConsistent()  // (D) purge looks at the rows
      let found = ~bits & dirtyWord(row).loadRelaxed()
      let wanted = Row(bits: ~found).lowestChunks(order: 0, limit: budget - released)
      let got = wanted == 0 ? 0 : purgeRow(row, wanted)
      released += got
      if got < found.nonzeroBitCount { left = true }
    }
    if left { restore(block, since) }
    return released
  }

  /// Purges those of `wanted` that are still free.
  func purgeRow(_ row: Int, _ wanted: UInt64) -> Int {
    let block = row / Frames.rowsPerBlock
    let count = wanted.nonzeroBitCount
    guard reserve(block, count) != nil else { return 0 }  // (B) (F)
    var mask: UInt64 = 0
    let taken = rowWord(row).updateAcquire { (row: Row) -> Row? in  // (A)
      mask = wanted & ~row.bits
      return mask == 0 ? nil : row.taking(mask)
    }
    if taken == nil { mask = 0 }
    if mask.nonzeroBitCount < count { returnFrames(block, count - mask.nonzeroBitCount, order: -1) }
    guard mask != 0 else { return 0 }

    let dirty = mask & dirtyWord(row).loadRelaxed()
    var clean: UInt64 = 0
    var rest = dirty
    while rest != 0 {
      let first = rest.trailingZeroBitCount
      let length = (~(rest >> UInt64(first))).trailingZeroBitCount
      let run = Row.mask(from: first, count: length)
      // SAFETY: this thread owns these frames, and nobody uses them.
      if unsafe ka_os_purge(address(of: FrameIndex(row * Frames.perRow + first)), length << frameShift) {
        clean |= run
      }
      rest &= ~run
    }
    // Relaxed: the owner's bits; giving the frames back publishes them (A).
    if clean != 0 { _ = dirtyWord(row).fetchAndRelaxed(~clean) }
    let (cleared, after) = clearRow(row, mask, dirty: false)
    returnFrames(block, cleared.nonzeroBitCount, order: after.largestOrder ?? 0)
    return clean.nonzeroBitCount
  }
}
