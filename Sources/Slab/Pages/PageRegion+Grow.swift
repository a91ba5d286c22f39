// Growth: making absent blocks of a reserved range usable.
//
// A block is claimed (absent → growing), committed, initialised and published. The system call is made by the thread
// that claimed the block and by nobody else; no other thread waits, because a growing block counts as full. A refusal
// puts the block back to absent, and nothing was lost.

import KAllocAtomics

enum Growth: Equatable {
  /// Frames up to this one are the caller's.
  case grown(upTo: Int)
  /// Another thread was quicker with the first block.
  case lost
  /// The operating system refused.
  case refused
}

extension PageRegion {
  /// Claims the absent blocks from the first of `range` on, as far as they are adjacent, commits them with one system
  /// call, and takes the frames of `range` in them.
  func grow(taking range: Range<Int>) -> Growth {
    guard isReserved else { return .lost }
    let firstBlock = range.lowerBound / Frames.perBlock
    var endBlock = firstBlock
    while endBlock * Frames.perBlock < range.upperBound,
      // Acquire is more than it needs: nothing was published in an absent block but the refusal (B).
      blockWord(endBlock).updateAcquire({ (word: BlockWord) in word.claimed }) != nil
    {
      endBlock += 1
    }
    guard endBlock > firstBlock else { return .lost }

    let memory = usable(firstBlock).lowerBound..<usable(endBlock - 1).upperBound
    // SAFETY: usable frames of a reservation that is the region's; only this thread has their blocks.
    guard unsafe ka_os_commit(address(of: FrameIndex(memory.lowerBound)), memory.count << frameShift),
      openCompanions(firstBlock..<endBlock)
    else {
      for block in firstBlock..<endBlock {
        blockWord(block).storeRelease(BlockWord.absent.bits)  // (B)
      }
      lowerGrow(to: firstBlock)
      return .refused
    }
    raiseHigh(to: endBlock)
    for block in firstBlock..<endBlock { publish(block, taking: range) }
    return .grown(upTo: Swift.min(range.upperBound, endBlock * Frames.perBlock))
  }

  /// Makes writable what the layer above has for `blocks`, and for some more, so that few growths from below make the system calls;
  /// each one far above does. False: refused; the frames are committed then and not used, until the next growth.
  private func openCompanions(_ blocks: Range<Int>) -> Bool {
    // (G) acquire: below it everything was made writable.
    let mark = Int(truncatingIfNeeded: openWord.loadAcquire())
    if blocks.upperBound <= mark { return true }
    let follows = blocks.lowerBound <= mark
    let end = Swift.min((blocks.upperBound + Self.openBlocks - 1) & -Self.openBlocks, self.blocks)
    let all = companions
    let wanted = (follows ? mark : blocks.lowerBound)..<end
    guard all.0.open(wanted), all.1.open(wanted), all.2.open(wanted) else { return false }
    // (G) release. Lost to another: it opened as much, or the next growth opens some of it again.
    if follows { _ = openWord.compareExchangeAcquireRelease(UInt64(mark), UInt64(end)) }
    return true
  }

  /// 32 MiB of frames.
  private static var openBlocks: Int { 16 }

  /// Turns a growing block present, with the frames of `range` taken.
  private func publish(_ block: Int, taking range: Range<Int>) {
    markMisfits(block)
    let usable = usable(block)
    let mine = range.clamped(to: usable)
    for index in 0..<Frames.rowsPerBlock {
      let first = (block * Frames.rowsPerBlock + index) * Frames.perRow
      let mask = Self.mask(mine, row: first)
      if mask == 0 { continue }
      // Relaxed: nobody else reserves in a growing block, and publishing it is the release.
      let word = rowWord(first / Frames.perRow)
      word.storeRelaxed(word.loadRelaxed() | mask)
    }
    let free = usable.count - mine.count
    blockWord(block).storeRelease(BlockWord(present: free).bits)  // (B)
    raise(block, to: survey(block))
  }

  /// Grows by the lowest absent block that can hold `frames` aligned to `alignment`, and takes them there.
  func growAny(_ frames: Int, alignment: Int) -> (first: Int?, refused: Bool) {
    guard isReserved else { return (nil, false) }
    // Relaxed: where to begin is a guess; the second round begins at 0.
    let start = Int(truncatingIfNeeded: growWord.loadRelaxed())
    var block = start
    var wrapped = start == 0
    var allPresent = true
    while true {
      if block >= blocks || (wrapped && start > 0 && block >= start) {
        if wrapped { return (nil, false) }
        wrapped = true
        block = 0
        allPresent = false
        continue
      }
      if state(block).isAbsent {
        let usable = usable(block)
        let first = align(usable.lowerBound, alignment)
        if first + frames <= usable.upperBound {
          switch grow(taking: first..<first + frames) {
          case .grown:
            if allPresent { _ = growWord.compareExchangeRelaxed(UInt64(start), UInt64(block + 1)) }
            return (first, false)
          case .refused: return (nil, true)
          case .lost: break
          }
        } else {
          allPresent = false
        }
      }
      block += 1
    }
  }

  /// Relaxed: `growWord` is where to begin looking, no more.
  private func lowerGrow(to block: Int) {
    var found = growWord.loadRelaxed()
    while found > UInt64(block) {
      let seen = growWord.compareExchangeRelaxed(found, UInt64(block))
      if seen == found { return }
      found = seen
    }
  }
}
