// Row reservation: how the per-CPU page stacks are refilled. Up to 64 frames for two locked instructions, one on the
// block word and one on the row.

extension PageRegion {
  /// Allocates up to `limit` frames of one row, in aligned runs of `order`.
  ///
  /// - Parameters:
  ///   - limit: in frames; at most 64 are given.
  ///   - order: 0 ... 6.
  /// - Returns: the frames; nil where no run of `order` is free, or `limit` is less than one.
  ///
  /// Concurrent. Lock-free.
  public func claimRow(upTo limit: Int, order: Order, flags: AllocFlags = []) -> FrameRun? {
    guard order.rawValue >= 0, order.rawValue <= Tier.row else { return nil }
    let wanted = Swift.min(limit, Frames.perRow) & ~(order.frames - 1)
    guard wanted > 0 else { return nil }
    let charged = charge(upTo: wanted, unit: order.frames, flags)
    guard charged > 0 else { return nil }
    let run = claim(upTo: charged, order: order)
    uncharge(charged - (run?.frames ?? 0))
    return run
  }

  /// Frees frames of one row.
  ///
  /// - Parameters:
  ///   - first: the row's first frame.
  ///   - mask: at least one frame.
  ///   - touched: false where nobody has written to the frames since they were claimed, so that clean ones stay clean.
  /// - Returns: as for `free`.
  ///
  /// Concurrent. Wait-free.
  ///
  /// > Safety: the caller owns the frames, and nobody uses them any more.
  public func freeRow(_ first: FrameIndex, _ mask: UInt64, touched: Bool = true) -> Bool {
    let firstFrame = first.rawValue
    guard mask != 0, firstFrame & (Frames.perRow - 1) == 0,
      spans(firstFrame + mask.trailingZeroBitCount, 1), spans(firstFrame + 63 - mask.leadingZeroBitCount, 1)
    else { return false }
    let block = firstFrame / Frames.perBlock
    guard state(block).isPresent else { return false }  // Relaxed: as in `release`.
    let dirty = touched && isReserved
    let (cleared, row) = clearRow(firstFrame / Frames.perRow, mask, dirty: dirty)
    if cleared != 0 {
      returnFrames(block, cleared.nonzeroBitCount, order: row.largestOrder ?? 0)
      if dirty { touch(block) }
      uncharge(cleared.nonzeroBitCount)
    }
    return cleared == mask
  }

  private func claim(upTo limit: Int, order: Order) -> FrameRun? {
    let end = high
    var from = 0
    while let block = candidate(from: from, tier: order.rawValue, excluding: Tier.whole, below: end) {
      if let run = claimRow(of: block, upTo: limit, order: order.rawValue) { return run }
      from = block + 1
    }
    from = 0
    while let block = candidate(from: from, tier: Tier.whole, excluding: nil, below: end) {
      if let run = claimRow(of: block, upTo: limit, order: order.rawValue) { return run }
      from = block + 1
    }
    // A whole row's worth from a new block if there is one; else whatever the exhaustive search finds.
    if let first = growAny(limit, alignment: Frames.perRow).first { return run(from: first, limit) }
    if let first = take(order.frames, alignment: order.frames) { return run(from: first, order.frames) }
    return nil
  }

  /// Adjacent frames of one row, as a mask.
  private func run(from first: Int, _ frames: Int) -> FrameRun {
    let row = first & ~(Frames.perRow - 1)
    return FrameRun(first: FrameIndex(row), mask: Row.mask(from: first - row, count: frames))
  }

  private func claimRow(of block: Int, upTo limit: Int, order: Int) -> FrameRun? {
    // Each round lost was won by somebody else; after as many as there are rows, another block is the better place.
    for _ in 0..<Frames.rowsPerBlock {
      guard let (index, best) = bestRow(of: block, upTo: limit, order: order),
        let before = blockWord(block).updateAcquire({ (word: BlockWord) in  // (B) (F)
          word.reserving(upTo: best, unit: 1 << order)
        })
      else {
        lower(block, from: order)
        return nil
      }
      let reserved = Swift.min(before.free, best) & ~((1 << order) - 1)
      var mask: UInt64 = 0
      let taken = rowWord(index).updateAcquire { (row: Row) -> Row? in  // (A)
        mask = row.lowestChunks(order: order, limit: reserved)
        return mask == 0 ? nil : row.taking(mask)
      }
      let got = taken == nil ? 0 : mask.nonzeroBitCount
      if got < reserved { returnFrames(block, reserved - got, order: -1) }
      if got > 0 {
        noteReserved(block, before: before)
        return FrameRun(first: FrameIndex(index * Frames.perRow), mask: mask)
      }
    }
    return nil
  }

  /// The first row that has all that is wanted, or the one that has most, and how much; a guess.
  private func bestRow(of block: Int, upTo limit: Int, order: Int) -> (index: Int, frames: Int)? {
    var best = 0
    var found = -1
    for index in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
      let frames = Swift.min(row(index).chunks(order: order).nonzeroBitCount, limit)
      if frames > best {
        best = frames
        found = index
        if frames == limit { break }
      }
    }
    return found < 0 ? nil : (found, best)
  }
}
