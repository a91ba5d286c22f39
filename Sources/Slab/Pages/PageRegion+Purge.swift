// Giving memory back to the operating system, while others allocate and free.
//
// Purge takes free frames that are dirty as any caller would, so nobody can be given them during the system call,
// marks them clean, and frees them. Whole blocks first: one call for 2 MiB, and a large page stays one. What it holds
// during the call is missing for others for that time, at most one block.
//
// A hint per block, `Tier.dirty`, leads it there, so that its cost is that of what is dirty and not of what is in use:
//
//     free:    mark frames dirty, clear row bits    then  load hint, set it if clear
//     purge:   clear hint                           then  look at the rows, set it again if some are left
//
// All four are sequentially consistent (D): either the free sees the hint cleared, or the purge sees the frames. A thread
// stopped between its two steps leaves one block out of purges until the next free in that block.

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
  /// - Complexity: O(trees + blocks with dirty frames) and one system call per block, or per run before Linux 6.13.
  ///
  /// Concurrent. Nothing to do for `.given` regions: 0.
  public func purge(upTo budget: Int, olderThan age: UInt64 = 0, now: UInt64 = 0) -> Int {
    guard isReserved, budget > 0 else { return 0 }
    var rest = budget
    forEachDirty(age: age, now: now) { block in
      if rest >= Frames.perBlock { rest -= purgeWhole(block) }
      return rest >= Frames.perBlock
    }
    forEachDirty(age: age, now: now) { block in
      if rest > 0 { rest -= purgeParts(block, budget: rest) }
      return rest > 0
    }
    return budget - rest
  }

  /// Calls `purge` with the blocks that may have frames to purge and are old enough, until it returns false. The highest
  /// first: the lowest are the next to be allocated.
  private func forEachDirty(age: UInt64, now: UInt64, _ purge: (Int) -> Bool) {
    var tree = (high + Frames.blocksPerTree - 1) / Frames.blocksPerTree
    while tree > 0 {
      tree -= 1
      // Relaxed: a guess. A block that is missed is one for the next purge.
      var hints = hintWord(tree: tree, tier: Tier.dirty).loadRelaxed()
      while hints != 0 {
        let bit = 63 - hints.leadingZeroBitCount
        hints &= ~(1 << UInt64(bit))
        let block = tree << 6 | bit
        if isDue(block, age: age, now: now), !purge(block) { return }
      }
    }
  }

  private func isDue(_ block: Int, age: UInt64, now: UInt64) -> Bool {
    let word = ageWord(block)
    // Relaxed: a time, and no more than a time. A free that comes meanwhile wins.
    let found = BlockAge(bits: word.loadRelaxed())
    if age > 0, let seen = found.seen(now) { _ = word.compareExchangeRelaxed(found.bits, seen.bits) }
    return found.isOlder(than: age, now: now)
  }

  func unhintDirty(_ block: Int, _ tier: Int = Tier.dirty) {
    let bit = UInt64(1) << UInt64(block & 63)
    _ = hintWord(tree: block >> 6, tier: tier).fetchAndSequentiallyConsistent(~bit)  // (D) purge clears the hint
  }

  private func purgeWhole(_ block: Int) -> Int {
    let usable = usable(block)
    guard state(block).free == usable.count, takeExact(usable, growing: false) == .taken else { return 0 }
    // While no frame of the block can be freed: what is freed later sets the hint again.
    unhintDirty(block)
    let rows = block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock
    var dirty = 0
    for row in rows { dirty += dirtyWord(row).loadRelaxed().nonzeroBitCount }
    // SAFETY: this thread owns every frame of the block, and nobody uses them.
    let done = unsafe dirty == 0 || ka_os_purge(address(of: FrameIndex(usable.lowerBound)), usable.count << frameShift)
    // Relaxed: the owner's bits; giving the frames back publishes them (A).
    if done { for row in rows { dirtyWord(row).storeRelaxed(0) } } else { hintDirty(block) }
    giveBack(usable)
    return done ? dirty : 0
  }

  /// A mask for each row of a block.
  typealias RowMasks = InlineArray<8, UInt64>

  private func purgeParts(_ block: Int, budget: Int) -> Int {
    unhintDirty(block)
    var wanted = RowMasks(repeating: 0)
    var found = 0
    var left = budget
    for index in wanted.indices {
      let row = block * Frames.rowsPerBlock + index
      let bits = rowWord(row).loadSequentiallyConsistent()  // (D) purge looks at the rows
      let dirty = ~bits & dirtyWord(row).loadRelaxed()
      wanted[index] = Row(bits: ~dirty).lowestChunks(order: 0, limit: left)
      left -= wanted[index].nonzeroBitCount
      found += dirty.nonzeroBitCount
    }
    let released = purge(wanted, of: block)
    if released < found { hintDirty(block) }
    return released
  }

  /// Purges those frames of `wanted` that are still free, with one system call for many runs where the kernel can. Returns
  /// how many.
  func purge(_ wanted: RowMasks, of block: Int) -> Int {
    var released = 0
    var next = 0
    while next < wanted.count { released += purge(wanted, of: block, from: &next) }
    return released
  }

  /// The rows from `next` on that one call can serve. Out of line: in the loop its ranges would stand on the stack twice.
  @inline(never)
  private func purge(_ wanted: RowMasks, of block: Int, from next: inout Int) -> Int {
    var taken = wanted
    var released = 0
    let start = next
    var ranges = ka_os_ranges()
    // A row has 32 runs at most.
    while next < wanted.count && Int(ranges.count) <= Int(KA_OS_RANGES) - Frames.perRow / 2 {
      let row = block * Frames.rowsPerBlock + next
      taken[next] = takeFree(wanted[next], row: row)
      addRuns(taken[next] & dirtyWord(row).loadRelaxed(), row: row, to: &ranges)
      next += 1
    }
    // SAFETY: this thread owns these frames, and nobody uses them.
    let done = ranges.count > 0 ? unsafe ka_os_purge_ranges(&ranges) : false
    for index in start..<next where taken[index] != 0 {
      released += giveBack(taken[index], row: block * Frames.rowsPerBlock + index, clean: done)
    }
    return released
  }

  /// Frees frames of a row that a purge has taken. Returns how many are clean now and were not.
  private func giveBack(_ taken: UInt64, row: Int, clean: Bool) -> Int {
    // Relaxed: the owner's bits; giving the frames back publishes them (A).
    let released = clean ? (dirtyWord(row).fetchAndRelaxed(~taken) & taken).nonzeroBitCount : 0
    let (cleared, after) = clearRow(row, taken, dirty: false)
    returnFrames(row / Frames.rowsPerBlock, cleared.nonzeroBitCount, order: after.largestOrder ?? 0)
    return released
  }

  /// Takes those of the frames of `wanted` that are free.
  private func takeFree(_ wanted: UInt64, row: Int) -> UInt64 {
    let block = row / Frames.rowsPerBlock
    let count = wanted.nonzeroBitCount
    guard count > 0, reserve(block, count) != nil else { return 0 }  // (B) (F)
    var mask: UInt64 = 0
    let taken = rowWord(row).updateAcquire { (row: Row) -> Row? in  // (A)
      mask = wanted & ~row.bits
      return mask == 0 ? nil : row.taking(mask)
    }
    if taken == nil { mask = 0 }
    if mask.nonzeroBitCount < count { returnFrames(block, count - mask.nonzeroBitCount, order: -1) }
    return mask
  }

  func addRuns(_ mask: UInt64, row: Int, to ranges: inout ka_os_ranges) {
    var rest = mask
    while rest != 0 {
      let first = rest.trailingZeroBitCount
      let length = (~(rest >> UInt64(first))).trailingZeroBitCount
      let address = unsafe UInt(bitPattern: self.address(of: FrameIndex(row * Frames.perRow + first)))
      unsafe ka_os_ranges_add(&ranges, address, length << frameShift)
      rest &= ~Row.mask(from: first, count: length)
    }
  }
}
