// The set of slabs that may have free objects: three levels of hints. The protocol is in SlabTable.swift, (H).

extension SlabTable {
  @inline(__always)
  private func blocks(_ sizeClass: SizeClass, _ index: Int) -> AtomicWord {
    unsafe header.pointee.blocks[index &* SizeClass.count &+ sizeClass.index]
  }

  @inline(__always)
  private func summary(_ sizeClass: SizeClass, _ index: Int) -> AtomicWord {
    unsafe header.pointee.summary[index &* SizeClass.count &+ sizeClass.index]
  }

  /// Sets the hints for a slab in which objects have become free. The word that says so has been written before, by a
  /// sequentially consistent operation.
  func hint(_ head: FrameIndex, _ sizeClass: SizeClass) {
    // (H) each level is set only where it is not set yet; the check reads after the level below was
    // written, so a clearing that it misses comes later and looks again.
    set(head.rawValue, in: heads[head.rawValue &>> 6])
    let block = head.rawValue / Frames.perBlock
    set(block, in: blocks(sizeClass, block &>> 6))
    set(block &>> 6, in: summary(sizeClass, block &>> 12))
  }

  @inline(__always)
  private func set(_ index: Int, in word: AtomicWord) {
    let bit = 1 &<< UInt64(truncatingIfNeeded: index & 63)
    // (H) look, then set.
    if word.loadSequentiallyConsistent() & bit == 0 { _ = word.fetchOrSequentiallyConsistent(bit) }
  }

  @inline(__always)
  private func clear(_ index: Int, in word: AtomicWord) {
    // (H) clear; the caller looks again.
    _ = word.fetchAndSequentiallyConsistent(~(1 &<< UInt64(truncatingIfNeeded: index & 63)))
  }

  /// Clears the hint of a slab that was seen without free objects, and sets it back where it has some again.
  func unhint(_ head: FrameIndex, _ sizeClass: SizeClass) {
    // (H) clear, then look again.
    clear(head.rawValue, in: heads[head.rawValue &>> 6])
    let word = SlabWord(bits: words[head.rawValue].loadSequentiallyConsistent())
    if let found = word.sizeClass, word.free > 0 { hint(head, found) }
  }

  /// Sets the hints of every slab of `sizeClass` that has free objects, whatever they say. Returns whether there is one.
  ///
  /// For when nothing is found by them: a thread that is stopped, or was killed, before it looked again has hidden a slab.
  /// What one clears while this is under way may stay hidden until the next time. O(frames in blocks that were ever used).
  func rehint(_ sizeClass: SizeClass) -> Bool {
    let frames = geometry(sizeClass).frames
    var found = false
    for block in 0..<pages.high where pages.state(block).isPresent {
      var frame = block &* Frames.perBlock
      while frame < (block &+ 1) &* Frames.perBlock {
        // Relaxed: objects that become free later are hinted at by who frees them.
        let word = SlabWord(bits: words[frame].loadRelaxed())
        if word.sizeClass == sizeClass && word.free > 0 {
          hint(FrameIndex(frame), sizeClass)
          found = true
        }
        frame &+= frames
      }
    }
    return found
  }

  /// The slab of `sizeClass` with the lowest address, from `start` on, that may have free objects.
  ///
  /// O(blocks / 4096) where there is none. Lowest first keeps the slabs at high addresses few, so that they empty.
  func candidate(_ sizeClass: SizeClass, from start: FrameIndex) -> FrameIndex? {
    var index = (start.rawValue / Frames.perBlock) &>> 6
    let end = unsafe header.pointee.blockWords
    while index < end {
      // The summary is looked at once for each of its words; an empty word of it skips 64 words of blocks.
      // (H) a hint that is missed was set later than this search began.
      let rest = summary(sizeClass, index &>> 6).loadSequentiallyConsistent() &>> UInt64(index & 63)
      if rest == 0 {
        index = (index | 63) &+ 1
        continue
      }
      index &+= rest.trailingZeroBitCount
      if let found = candidate(sizeClass, inBlocks: index, from: start) { return found }
      index &+= 1
    }
    return nil
  }

  private func candidate(_ sizeClass: SizeClass, inBlocks index: Int, from start: FrameIndex) -> FrameIndex? {
    let word = blocks(sizeClass, index)
    var rest = word.loadSequentiallyConsistent()  // (H)
    if rest == 0 {
      // (H) clear, then look again.
      clear(index, in: summary(sizeClass, index &>> 6))
      rest = word.loadSequentiallyConsistent()
      if rest != 0 { set(index, in: summary(sizeClass, index &>> 6)) }
    }
    while rest != 0 {
      let block = index &<< 6 | rest.trailingZeroBitCount
      rest &= rest &- 1
      if (block &+ 1) &* Frames.perBlock <= start.rawValue { continue }
      if let found = candidate(sizeClass, inBlock: block, from: start) { return found }
      if block &* Frames.perBlock >= start.rawValue {
        // (H) clear, then look again.
        clear(block, in: word)
        if let found = candidate(sizeClass, inBlock: block, from: start) {
          hint(found, sizeClass)
          return found
        }
      }
    }
    return nil
  }

  private func candidate(_ sizeClass: SizeClass, inBlock block: Int, from start: FrameIndex) -> FrameIndex? {
    for row in block &* Frames.rowsPerBlock..<(block &+ 1) &* Frames.rowsPerBlock {
      var rest = heads[row].loadSequentiallyConsistent()  // (H) looked at again after a clearing
      while rest != 0 {
        let frame = row &<< 6 | rest.trailingZeroBitCount
        rest &= rest &- 1
        if frame < start.rawValue { continue }
        // (H) looked at again: the word, not the owner byte. Where the bit was left by a slab that ended, the maker of the
        // next one found it set and wrote nothing there that would make the byte seen.
        let word = SlabWord(bits: words[frame].loadSequentiallyConsistent())
        if word.sizeClass == sizeClass { return FrameIndex(frame) }
      }
    }
    return nil
  }
}
