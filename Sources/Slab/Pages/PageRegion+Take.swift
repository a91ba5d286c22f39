// Taking given frames, and giving frames back: the two movements that everything else is made of.

import KAllocAtomics

/// What became of taking given frames.
enum Take: Equatable {
  case taken
  /// Somebody else has this frame, or this block has too few; everything taken before it was given back.
  case lost(at: Int)
  /// The operating system refused to grow.
  case refused
}

extension PageRegion {
  /// Reserves `frames` in a block.
  func reserve(_ block: Int, _ frames: Int) -> BlockWord? {
    blockWord(block).updateAcquire { (word: BlockWord) in word.reserving(frames) }  // (B) (F)
  }

  /// Clears the whole-block hint where a reservation was the first in its block.
  @inline(__always)
  func noteReserved(_ block: Int, before: BlockWord) {
    if before.free == Frames.perBlock { lower(block, from: Tier.whole) }
  }

  /// Takes exactly the frames of `range`, growing absent blocks where `growing`; all of them or none.
  ///
  /// In ascending order of address. Each block is reserved before its rows are touched.
  func takeExact(_ range: Range<Int>, growing: Bool) -> Take {
    var at = range.lowerBound
    while at < range.upperBound {
      let block = at / Frames.perBlock
      let end = Swift.min(range.upperBound, (block + 1) * Frames.perBlock)
      if growing, state(block).isAbsent {
        switch grow(taking: at..<range.upperBound) {
        case .grown(let upTo):
          at = upTo
          continue
        case .refused:
          giveBack(range.lowerBound..<at)
          return .refused
        case .lost: break
        }
      }
      guard let before = reserve(block, end - at) else {
        giveBack(range.lowerBound..<at)
        return .lost(at: at)
      }
      if let (obstacle, missing) = takeBits(at..<end) {
        returnFrames(block, end - at - missing, order: -1)
        giveBack(range.lowerBound..<at)
        return .lost(at: obstacle)
      }
      noteReserved(block, before: before)
      at = end
    }
    return .taken
  }

  /// Sets the bits of frames in one block, for which a reservation is held.
  /// - Returns: nil where all were taken. Otherwise none is, and the result is the first frame that somebody else
  ///   has, and how many of those set meanwhile were cleared by somebody who did not own them.
  private func takeBits(_ range: Range<Int>) -> (obstacle: Int, missing: Int)? {
    var first = range.lowerBound & ~(Frames.perRow - 1)
    while first < range.upperBound {
      let mask = Self.mask(range, row: first)
      var obstacle: UInt64 = 0
      let before = rowWord(first / Frames.perRow).updateAcquire { (row: Row) -> Row? in  // (A)
        obstacle = row.bits & mask
        return row.taking(mask)
      }
      if before == nil {
        let set = range.lowerBound..<Swift.max(first, range.lowerBound)
        return (first + obstacle.trailingZeroBitCount, set.count - clear(set))
      }
      first += Frames.perRow
    }
    return nil
  }

  /// Clears bits of one block that this thread set and nobody has seen the frames of.
  /// - Returns: how many of them were set.
  private func clear(_ range: Range<Int>) -> Int {
    var cleared = 0
    var first = range.lowerBound & ~(Frames.perRow - 1)
    while first < range.upperBound {
      let mask = Self.mask(range, row: first)
      cleared += clearRow(first / Frames.perRow, mask, dirty: false).cleared.nonzeroBitCount
      first += Frames.perRow
    }
    return cleared
  }

  /// Adds frames whose bits are clear to the block word, and raises the hints.
  /// - Parameter order: the highest order known to be free in the rows; -1 to look.
  func returnFrames(_ block: Int, _ frames: Int, order: Int) {
    let before = blockWord(block).fetchAddSequentiallyConsistent(UInt32(frames))  // (C) (F)
    let free = BlockWord(bits: before).free + frames
    if free == Frames.perBlock {
      raise(block, to: Tier.whole)
    } else {
      raise(block, to: order >= 0 ? order : survey(block))
    }
  }

  /// Frees frames as they are, clean or dirty.
  func giveBack(_ range: Range<Int>) {
    _ = release(range, dirty: false)
  }

  /// Clears the bits of frames of one row, dirty first.
  /// - Returns: the bits that were set, and what the row then was.
  @inline(__always)
  func clearRow(_ index: Int, _ mask: UInt64, dirty: Bool) -> (cleared: UInt64, row: Row) {
    let word = rowWord(index)
    if dirty {
      // Relaxed: the bits of frames that the caller owns change by nobody else; the clearing below publishes them.
      let owned = word.loadRelaxed() & mask
      let marks = dirtyWord(index)
      if owned & ~marks.loadRelaxed() != 0 { _ = marks.fetchOrRelaxed(owned) }
    }
    let before = word.fetchAndSequentiallyConsistent(~mask)  // (A) (C) (D)
    return (before & mask, Row(bits: before & ~mask))
  }

  /// Marks a block as one to purge in time: it has dirty free frames, and its age begins anew.
  @inline(__always)
  func touch(_ block: Int) {
    // Relaxed: a time, which publishes nothing.
    let age = ageWord(block)
    if age.loadRelaxed() != BlockAge.unseen.bits { age.storeRelaxed(BlockAge.unseen.bits) }
    hintDirty(block)
  }

  /// Sets the hint that leads a purge to a block: of its free frames, or of its slabs.
  @inline(__always)
  func hintDirty(_ block: Int, _ tier: Int = Tier.dirty) {
    let hint = hintWord(tree: block >> 6, tier: tier)
    let bit = UInt64(1) << UInt64(block & 63)
    if hint.loadSequentiallyConsistent() & bit == 0 {  // (D) free looks at the hint
      _ = hint.fetchOrSequentiallyConsistent(bit)  // (D)
    }
  }

  /// Clears the bits of frames and adds them to their blocks. Wait-free.
  /// - Returns: how many frames were allocated. The others are as they were.
  func release(_ range: Range<Int>, dirty: Bool) -> Int {
    let dirty = dirty && isReserved
    var total = 0
    var first = range.lowerBound
    while first < range.upperBound {
      let block = first / Frames.perBlock
      let end = Swift.min(range.upperBound, (block + 1) * Frames.perBlock)
      // Relaxed: an owner's block is present. Only a foreign free can find another state, and then nothing is cleared.
      if !state(block).isPresent {
        first = end
        continue
      }
      var frames = 0
      var order = 0
      while first < end {
        let rowFirst = first & ~(Frames.perRow - 1)
        let next = Swift.min(end, rowFirst + Frames.perRow)
        let (cleared, row) = clearRow(
          first / Frames.perRow, Row.mask(from: first - rowFirst, count: next - first), dirty: dirty)
        frames += cleared.nonzeroBitCount
        order = Swift.max(order, row.largestOrder ?? 0)
        first = next
      }
      if frames > 0 {
        returnFrames(block, frames, order: order)
        if dirty { touch(block) }
      }
      total += frames
    }
    return total
  }
}
