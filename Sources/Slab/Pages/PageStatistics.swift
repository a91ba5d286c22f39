/// What a region, or several, held at one moment. Exact when nobody allocates or frees meanwhile.
///
///     totalFrames == freeFrames + allocated + absentFrames, and committedFrames == totalFrames - absentFrames
public struct PageStatistics: Sendable {
  /// Usable frames.
  public var totalFrames = 0
  /// Frames that could be allocated without a system call.
  public var freeFrames = 0
  /// Frames of address space that the region has not grown into.
  public var absentFrames = 0
  /// Free frames that purge could give back.
  public var dirtyFrames = 0
  /// The longest run of adjacent free frames, at any alignment and across rows and blocks.
  public var largestFreeRun = 0
  /// By order: into how many free aligned runs the free frames divide, each as large as can be. The highest is a block.
  public var freeByOrder = InlineArray<10, Int>(repeating: 0)

  public init() {}

  /// Frames with memory behind them.
  public var committedFrames: Int { totalFrames - absentFrames }
  /// Frames that somebody has.
  public var allocatedFrames: Int { committedFrames - freeFrames }

  /// 0 when all free frames are one run, near 1000 when each stands alone; 0 when there is none.
  public var fragmentation: Int { freeFrames == 0 ? 0 : 1000 - largestFreeRun * 1000 / freeFrames }

  /// Adds another region's.
  public mutating func add(_ other: PageStatistics) {
    totalFrames += other.totalFrames
    freeFrames += other.freeFrames
    absentFrames += other.absentFrames
    dirtyFrames += other.dirtyFrames
    largestFreeRun = Swift.max(largestFreeRun, other.largestFreeRun)
    for order in freeByOrder.indices { freeByOrder[order] += other.freeByOrder[order] }
  }
}

extension PageRegion {
  /// Counts every frame.
  ///
  /// Relaxed throughout: while others allocate and free, the numbers are of no single moment; none is out of range.
  /// - Complexity: O(rows in use).
  ///
  /// Concurrent.
  public func statistics() -> PageStatistics {
    var result = PageStatistics()
    result.totalFrames = frameCount
    var run = 0
    // Above the blocks ever used the metadata is untouched, and stays so.
    let end = high
    if end < blocks { result.absentFrames = limit - usable(end).lowerBound }
    for block in 0..<end {
      guard state(block).isPresent else {
        result.absentFrames += usable(block).count
        run = 0
        continue
      }
      var free = 0
      for index in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
        let row = row(index)
        free += (~row.bits).nonzeroBitCount
        if isReserved { result.dirtyFrames += (~row.bits & dirtyWord(index).loadRelaxed()).nonzeroBitCount }
        result.largestFreeRun = Swift.max(result.largestFreeRun, row.extend(&run))
      }
      result.freeFrames += free
      count(block, free: free, into: &result)
    }
    return result
  }

  /// Divides the free frames of a block into aligned runs.
  private func count(_ block: Int, free: Int, into result: inout PageStatistics) {
    if free == Frames.perBlock {
      result.freeByOrder[9] += 1
      return
    }
    // Bit i: row i is wholly free. Pairs and fours of them are orders 7 and 8.
    var whole = 0
    for index in 0..<Frames.rowsPerBlock {
      let row = row(block * Frames.rowsPerBlock + index)
      if row.bits == 0 {
        whole |= 1 << index
      } else {
        row.count(into: &result)
      }
    }
    for half in 0..<2 {
      let rows = (whole >> (4 * half)) & 15
      if rows == 15 {
        result.freeByOrder[8] += 1
        continue
      }
      for quarter in 0..<2 {
        let pair = (rows >> (2 * quarter)) & 3
        result.freeByOrder[pair == 3 ? 7 : 6] += pair == 3 ? 1 : pair.nonzeroBitCount
      }
    }
  }

  /// Whether no frame is allocated. Exact when quiescent.
  ///
  /// - Complexity: O(blocks).
  public var isWhollyFree: Bool {
    for block in 0..<high {
      let word = state(block)
      if !word.isAbsent && word.free != usable(block).count { return false }
    }
    return true
  }
}

extension Row {
  /// Counts the free aligned runs of a row that is not wholly free.
  func count(into result: inout PageStatistics) {
    var rest = ~bits
    for order in stride(from: 5, through: 0, by: -1) {
      let found = Row(bits: ~rest).chunks(order: order)
      result.freeByOrder[order] += found.nonzeroBitCount >> order
      rest &= ~found
    }
  }

  /// Carries a run of free frames across rows.
  /// - Parameter run: the free frames directly before this row; on return, those at its end.
  /// - Returns: the longest run that ends inside the row or at its end, with those before it.
  func extend(_ run: inout Int) -> Int {
    if bits == 0 {
      run += Frames.perRow
      return run
    }
    var longest = run + bits.trailingZeroBitCount
    run = bits.leadingZeroBitCount
    var rest = ~bits
    var length = 0
    while rest != 0 {
      rest &= rest >> 1
      length += 1
    }
    longest = Swift.max(longest, length, run)
    return longest
  }
}
