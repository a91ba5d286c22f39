// Allocating runs of any length.
//
//     up to 64 frames    inside one row: partly used blocks by their hint, wholly free ones, a new block
//     up to 511          inside one block, in the same order
//     512 and more       whole blocks, then the same with new ones
//     if that fails      any run of the region, across rows and blocks, whatever the hints say
//
// A search that lost a race somewhere, and found nothing, is repeated a bounded number of times.

extension PageRegion {
  /// How often a search that was disturbed is begun again before it gives up.
  static let attempts = 3

  /// Allocates `frames` adjacent frames.
  ///
  /// An order o is `frames: 1 << o, alignment: 1 << o`. Lowest address first inside a block, and partly used blocks
  /// before wholly free ones.
  /// - Parameters:
  ///   - frames: at least 1, any number.
  ///   - alignment: of the address, in frames; a power of two.
  ///   - flags: `.useReserve` may take the frames held in reserve; the others have no meaning here.
  /// - Returns: the first frame; nil where no such run is free, or the operating system gives no memory.
  /// - Complexity: O(trees) to find the block, then one row and two compare-exchanges for up to 64 frames; a failure
  ///   looks at every block.
  ///
  /// Concurrent. Lock-free.
  public func allocate(frames: Int, alignment: Int = 1, flags: AllocFlags = []) -> FrameIndex? {
    guard frames >= 1, frames <= frameCount, alignment >= 1, alignment & (alignment - 1) == 0,
      alignment <= 1 << 40, charge(frames, flags)
    else { return nil }
    if let first = take(frames, alignment: alignment) { return FrameIndex(first) }
    uncharge(frames)
    return nil
  }

  /// As `allocate`, for frames that are charged already.
  func take(_ frames: Int, alignment: Int) -> Int? {
    for _ in 0..<Self.attempts {
      var disturbed = false
      let found =
        if frames > Frames.perBlock - 1 || alignment > Frames.perBlock {
          takeBlocks(frames, alignment: alignment, disturbed: &disturbed)
        } else if frames > Frames.perRow || alignment > Frames.perRow {
          takeInBlock(frames, alignment: alignment, disturbed: &disturbed)
        } else {
          takeInRow(frames, alignment: alignment, disturbed: &disturbed)
        }
      if let found { return found }
      if let found = takeAnywhere(frames, alignment: alignment, absent: false, disturbed: &disturbed) { return found }
      if let found = takeAnywhere(frames, alignment: alignment, absent: true, disturbed: &disturbed) { return found }
      if !disturbed { return nil }
    }
    return nil
  }

  // MARK: Up to a row

  private func takeInRow(_ frames: Int, alignment: Int, disturbed: inout Bool) -> Int? {
    // An aligned free run of order `sure` holds what is asked for; what is asked for holds one of order `least`.
    let sure = Self.log2(2 * Swift.max(frames, alignment) - 1)
    let least = Swift.max(
      Self.log2(frames + 1) - 1, Swift.min(Self.log2(alignment), Self.log2(frames)))
    let end = high
    var from = 0
    while let block = candidate(from: from, tier: sure, excluding: Tier.whole, below: end) {
      if let found = takeInRow(of: block, frames, alignment, tier: sure, disturbed: &disturbed) { return found }
      from = block + 1
    }
    from = 0
    // A run of a whole row is aligned, and was looked for above.
    while least < sure, frames < Frames.perRow,
      let block = candidate(from: from, tier: least, excluding: sure, below: end)
    {
      if let found = takeInRow(of: block, frames, alignment, tier: nil, disturbed: &disturbed) { return found }
      from = block + 1
    }
    from = 0
    while let block = candidate(from: from, tier: Tier.whole, excluding: nil, below: end) {
      if let found = takeInRow(of: block, frames, alignment, tier: sure, disturbed: &disturbed) { return found }
      from = block + 1
    }
    return growAny(frames, alignment: alignment).first
  }

  /// - Parameter tier: the hint to lower where the block does not hold what it promised.
  private func takeInRow(
    of block: Int, _ frames: Int, _ alignment: Int, tier: Int?, disturbed: inout Bool
  ) -> Int? {
    let rows = block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock
    // Look before reserving: a reservation that comes to nothing makes others see a fuller block.
    var start = rows.lowerBound
    while start < rows.upperBound, row(start).position(of: frames, alignment: alignment) == nil { start += 1 }
    guard start < rows.upperBound, let before = reserve(block, frames) else {
      // Bits that are clear but not to be had are on their way to somebody, or back.
      if start < rows.upperBound { disturbed = true }
      if let tier { lower(block, from: tier) }
      return nil
    }
    // With one frame reserved there is a clear bit at every moment, but it may move behind the search.
    for _ in 0..<(frames == 1 ? Self.attempts : 1) {
      for index in start..<rows.upperBound {
        var position = 0
        let taken = rowWord(index).updateAcquire { (row: Row) -> Row? in  // (A)
          guard let found = row.position(of: frames, alignment: alignment) else { return nil }
          position = found
          return row.taking(Row.mask(from: found, count: frames))
        }
        if taken != nil {
          noteReserved(block, before: before)
          return index * Frames.perRow + position
        }
      }
      start = rows.lowerBound
    }
    disturbed = true
    returnFrames(block, frames, order: -1)
    return nil
  }

  // MARK: Up to a block

  private func takeInBlock(_ frames: Int, alignment: Int, disturbed: inout Bool) -> Int? {
    // A run of more than one row holds an aligned run of a quarter of it, inside a row.
    let least = Swift.min(Swift.max(Self.log2(frames + 1) - 1, 0), Tier.row - 1)
    let end = high
    var from = 0
    while let block = candidate(from: from, tier: least, excluding: Tier.whole, below: end) {
      if let found = takeInBlock(block, frames, alignment, disturbed: &disturbed) { return found }
      from = block + 1
    }
    from = 0
    while let block = candidate(from: from, tier: Tier.whole, excluding: nil, below: end) {
      if let found = takeInBlock(block, frames, alignment, disturbed: &disturbed) { return found }
      from = block + 1
    }
    return growAny(frames, alignment: alignment).first
  }

  private func takeInBlock(_ block: Int, _ frames: Int, _ alignment: Int, disturbed: inout Bool) -> Int? {
    guard state(block).free >= frames else { return nil }
    return takeRun(
      frames, alignment: alignment, in: usable(block), absent: false, disturbed: &disturbed)
  }

  // MARK: Whole blocks, and anything else

  private func takeBlocks(_ frames: Int, alignment: Int, disturbed: inout Bool) -> Int? {
    let alignment = Swift.max(alignment, Frames.perBlock)
    let end = high
    var from = 0
    while let block = candidate(from: from, tier: Tier.whole, excluding: nil, below: end) {
      let first = align(block * Frames.perBlock, alignment)
      guard first <= limit - frames else { break }
      // Every run that begins between here and the obstacle would meet it too.
      var obstacle = firstTaken(in: first..<first + frames, absent: false)
      if obstacle == nil {
        guard case .lost(let at) = takeExact(first..<first + frames, growing: false) else { return first }
        disturbed = true
        obstacle = at
      }
      from = Swift.max(block, (obstacle ?? first) / Frames.perBlock) + 1
    }
    // New blocks, and what is free at the end of the last one: not a look at each block in use before every growth.
    if isReserved, end > 0,
      let found = takeRun(
        frames, alignment: alignment, in: Swift.max((end - 1) * Frames.perBlock, head)..<limit, absent: true,
        disturbed: &disturbed)
    {
      return found
    }
    return takeAnywhere(frames, alignment: alignment, absent: true, disturbed: &disturbed)
  }

  private func takeAnywhere(_ frames: Int, alignment: Int, absent: Bool, disturbed: inout Bool) -> Int? {
    if absent && !isReserved { return nil }
    let end = absent ? limit : Swift.min(limit, high * Frames.perBlock)
    guard head < end else { return nil }
    return takeRun(frames, alignment: alignment, in: head..<end, absent: absent, disturbed: &disturbed)
  }

  /// Takes the lowest run in `range` that can be had. Each round begins behind the frame that the last one lost.
  private func takeRun(
    _ frames: Int, alignment: Int, in range: Range<Int>, absent: Bool, disturbed: inout Bool
  ) -> Int? {
    var from = range.lowerBound
    while let first = firstRun(of: frames, alignment: alignment, in: from..<range.upperBound, absent: absent) {
      switch takeExact(first..<first + frames, growing: absent) {
      case .taken: return first
      case .refused: return nil
      case .lost(let at):
        disturbed = true
        from = at + 1
        if from >= range.upperBound { return nil }
      }
    }
    return nil
  }

  /// Rounded down; of 1 or more.
  @inline(__always)
  static func log2(_ value: Int) -> Int { Int.bitWidth - 1 - value.leadingZeroBitCount }
}
