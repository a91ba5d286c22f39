// The highest level: where to look. One bit per block and tier, "this block may have a free run of this order".
//
// A bit that is wrongly set costs a look; one that is wrongly clear hides free frames from the quick search (the last,
// exhaustive search ignores the hints). Each tier keeps itself from the latter by Dekker's pattern (C):
//
//     free:    clear row bits, add to the block word   then  load hint, set it if clear
//     search:  clear hint                              then  load block word and rows, set it again if they say so
//
// All four are sequentially consistent, so either the free sees the hint cleared, or the search sees the frames.
// A thread stopped between its two steps leaves one block's hint clear until the next free in that block.

extension PageRegion {
  /// The highest tier that a block can serve; -1 where it can serve none.
  func survey(_ block: Int) -> Int {
    let word = BlockWord(bits: blockWord(block).loadSequentiallyConsistent())  // (C) search looks again
    guard word.isPresent, word.free > 0 else { return -1 }
    if word.free == Frames.perBlock { return Tier.whole }
    var tier = -1
    for row in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
      let bits = Row(bits: rowWord(row).loadSequentiallyConsistent())  // (C) search looks again
      if let order = bits.largestOrder, order > tier { tier = order }
    }
    // The number does not lower this, although frames that others have reserved are not there to be taken: of two frees
    // that together make a run, the one that cleared its bits first may be the last to add its frames, and raises only
    // what it saw then.
    return tier
  }

  /// Sets the hints of a block up to `tier`.
  func raise(_ block: Int, to tier: Int) {
    guard tier >= 0 else { return }
    let bit = UInt64(1) << UInt64(block & 63)
    for tier in 0...tier {
      let hint = hintWord(tree: block >> 6, tier: tier)
      if hint.loadSequentiallyConsistent() & bit == 0 {  // (C) free looks at the hint
        _ = hint.fetchOrSequentiallyConsistent(bit)  // (C)
      }
    }
  }

  /// Clears the hints of a block from `tier` on, and sets again those that a second look finds wrong.
  func lower(_ block: Int, from tier: Int) {
    let bit = UInt64(1) << UInt64(block & 63)
    var cleared = false
    for tier in tier...Tier.whole {
      let hint = hintWord(tree: block >> 6, tier: tier)
      if hint.loadRelaxed() & bit != 0 {  // Relaxed: a hint that is clear needs no clearing, whenever it was cleared.
        _ = hint.fetchAndSequentiallyConsistent(~bit)  // (C) search clears the hint
        cleared = true
      }
    }
    if cleared { raise(block, to: survey(block)) }
  }

  /// The first block from `block` on that may serve `tier`, leaving out those that may serve `excluded`.
  func candidate(from block: Int, tier: Int, excluding excluded: Int?, below end: Int) -> Int? {
    var first = block
    while first < end {
      let tree = first >> 6
      // Relaxed: a guess. Whoever takes frames verifies it, and nothing is refused on account of a hint.
      var bits = hintWord(tree: tree, tier: tier).loadRelaxed() & (~0 << UInt64(first & 63))
      if let excluded { bits &= ~hintWord(tree: tree, tier: excluded).loadRelaxed() }
      if bits != 0 {
        let found = (tree << 6) + bits.trailingZeroBitCount
        return found < end ? found : nil
      }
      first = (tree + 1) << 6
    }
    return nil
  }
}
