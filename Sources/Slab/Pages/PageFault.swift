/// A broken invariant that `validate` found, and where.
public enum PageFault: Equatable, Sendable {
  /// The bit pattern of a block word is none that the transitions lead to.
  case blockWord(block: Int)
  /// A block word promises more frames than the rows have clear bits, or (quiescent) another number.
  case freeCount(block: Int, counted: Int, promised: Int)
  /// A frame outside the usable ones is not allocated.
  case misfit(row: Int)
  /// A block without memory has row bits or dirty bits set.
  case absentRow(row: Int)
  /// A block could serve this tier and its hint is clear.
  case hint(block: Int, tier: Int)
  /// The watermark's counter disagrees with the free frames.
  case available(counted: Int, promised: Int)
  /// A free frame is dirty in a block whose hint does not lead a purge there.
  case dirtyHint(block: Int)
}

extension PageRegion {
  /// Looks for a broken invariant.
  ///
  /// - Parameter quiescent: true while nobody allocates, frees or purges: everything is compared. False while they do:
  ///   only what is true at every moment.
  /// - Complexity: O(rows in use).
  public func validate(quiescent: Bool = true) -> PageFault? {
    // Above the blocks ever used the metadata is untouched, and stays so.
    let end = high
    var free = end < blocks ? limit - usable(end).lowerBound : 0
    for block in 0..<end {
      let word = state(block)
      guard word.isValid else { return .blockWord(block: block) }
      if quiescent && word == .growing { return .blockWord(block: block) }
      guard word.isPresent else {
        if quiescent, word.isAbsent, let fault = validateAbsent(block) { return fault }
        free += usable(block).count
        continue
      }
      if let fault = validatePresent(block, word, quiescent: quiescent) { return fault }
      free += word.free
    }
    let available = Int(truncatingIfNeeded: availableWord.loadRelaxed())
    if quiescent && reserveFrames > 0 && available != free {
      return .available(counted: free, promised: available)
    }
    return nil
  }

  private func validateAbsent(_ block: Int) -> PageFault? {
    for row in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
      if self.row(row).bits != 0 || dirtyWord(row).loadRelaxed() != 0 { return .absentRow(row: row) }
    }
    return nil
  }

  private func validatePresent(_ block: Int, _ word: BlockWord, quiescent: Bool) -> PageFault? {
    let usable = usable(block)
    var clear = 0
    var dirty = false
    for row in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
      let misfits = ~Self.mask(usable, row: row * Frames.perRow)
      let bits = self.row(row).bits
      if bits & misfits != misfits { return .misfit(row: row) }
      clear += (~bits).nonzeroBitCount
      if ~bits & dirtyWord(row).loadRelaxed() != 0 { dirty = true }
    }
    guard quiescent else { return nil }
    if word.free != clear { return .freeCount(block: block, counted: clear, promised: word.free) }
    let tier = survey(block)
    for tier in stride(from: 0, through: tier, by: 1) {
      let hint = hintWord(tree: block >> 6, tier: tier).loadRelaxed()
      if hint & (1 << UInt64(block & 63)) == 0 { return .hint(block: block, tier: tier) }
    }
    let hint = hintWord(tree: block >> 6, tier: Tier.dirty).loadRelaxed()
    if dirty && hint & (1 << UInt64(block & 63)) == 0 { return .dirtyHint(block: block) }
    return nil
  }
}
