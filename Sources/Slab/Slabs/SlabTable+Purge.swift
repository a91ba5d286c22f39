// Giving back the pages of slabs on which no object is in use, while others allocate and free.
//
// A slab serves one class. Where a program has moved on to other sizes, a few objects that stay hold slabs whose other pages
// nobody will use for a while. A purge takes all free objects of such a slab as any caller would, so that nobody can be given one
// during the system call; gives back the pages that lie wholly under them; marks these clean; and returns the objects.
//
// Of a slab's frames the dirty bits say which may have memory behind them. They are set by whoever takes objects, and
// cleared by a purge only for frames of whose objects it has every one:
//
//     take:    bits of objects taken, acquire          then  dirty bits of the slab set
//     purge:   dirty bits of the frames cleared        then  bits of objects returned, release
//
// so who takes an object of a purged frame sets its bit after the purge has cleared it (B). All slabs of a batch share one call,
// as each makes every CPU that runs the process flush its addresses. A thread that is killed in it takes the free objects of the
// batch's slabs with it.
//
// A purge visits the blocks where slabs became such as it looks for (`SlabGeometry.isPurged`) since the last one, and not all that
// were ever used: a hint for each block, `Tier.slabs`, beside that of the page level for free frames. A slab becomes one when
// objects are returned, when it is made of frames that had another use, and when the first objects of the kept one are taken:
//
//     return:  bits set, then the number raised     then  load hint, set it if clear
//     purge:   clear hint                           then  look at the numbers of the block's slabs
//
// All four are sequentially consistent (P): either the return sees the hint cleared, or the purge sees the number. What a purge has
// taken another one cannot look at, nor need it: those frames are clean when the objects come back, which is no reason for a hint. But
// what others have returned meanwhile neither has looked at; so a purge sets all bits of a slab before it raises the number once, and
// if the number was not 0 sets the hint. It does so, too, where the system refused, or the time is over.
//
// Nobody waits for a hint: it is looked at once and set or cleared by one instruction. A thread stopped between its two steps, or in
// a purge after it cleared the hint, leaves one block out of purges until the next return there.

import KAllocAtomics

extension SlabTable {
  /// Marks the frames of a slab as such that may have memory behind them. Who calls it has taken objects of the slab, or makes it.
  @inline(__always)
  func touch(_ head: FrameIndex, _ geometry: SlabGeometry) {
    if !pages.isReserved { return }
    let mask = Row.mask(from: head.rawValue & 63, count: geometry.frames)
    // Relaxed: (B) a purge that cleared it has returned the objects before.
    let word = pages.dirtyWord(head.rawValue &>> 6)
    if word.loadRelaxed() & mask != mask { _ = word.fetchOrRelaxed(mask) }
  }

  /// Leads a purge to the block of a slab that may have become one with free pages, see `SlabGeometry.isPurged`. The slab's word that
  /// says so has been written before, by a sequentially consistent operation.
  func hintPurge(_ head: FrameIndex) {
    // (P) as (D) of the page level, whose words these are: look, then set.
    if pages.isReserved { pages.hintDirty(head.rawValue / Frames.perBlock, Tier.slabs) }
  }

  /// Gives back the pages that no object uses of the slabs that are at least half free, where any became so since the last purge.
  /// Returns the frames.
  ///
  /// `ended` is called for each slab that ended meanwhile. What is left when the time is over stays. O(trees + frames in blocks
  /// where slabs became half free), and a system call for up to 32 slabs. Concurrent.
  func purge(within time: inout PurgeTime, ended: (SlabGeometry) -> Void) -> Int {
    if !pages.isReserved { return 0 }
    var batch = PurgeBatch()
    var isLate = false
    var tree = 0
    while !isLate && tree &* Frames.blocksPerTree < pages.high {
      // Relaxed: a guess. A block that is missed is one for the next purge.
      var hints = pages.hintWord(tree: tree, tier: Tier.slabs).loadRelaxed()
      while hints != 0 && !isLate {
        let block = tree &<< 6 | hints.trailingZeroBitCount
        hints &= hints &- 1
        // (P) clear, then look at the slabs.
        pages.unhintDirty(block, Tier.slabs)
        isLate = !purge(block, &batch, within: &time, ended)
        if isLate { pages.hintDirty(block, Tier.slabs) }
      }
      tree &+= 1
    }
    finish(&batch, ended)
    return batch.released
  }

  /// The slabs of one block. False: the time is over.
  private func purge(
    _ block: Int, _ batch: inout PurgeBatch, within time: inout PurgeTime, _ ended: (SlabGeometry) -> Void
  ) -> Bool {
    var frame = block &* Frames.perBlock
    while frame < (block &+ 1) &* Frames.perBlock {
      let head = FrameIndex(frame)
      // (P) looked at after the clearing. (A) acquire, as in `take`.
      let word = SlabWord(bits: words[frame].loadSequentiallyConsistent())
      frame &+= word.sizeClass.map { geometry($0).frames } ?? word.runFrames ?? 1
      guard let slab = takeFree(head, word) else { continue }
      var isLate = false
      if !batch.hasRoom(for: slab) {
        finish(&batch, ended)
        isLate = time.isOver()
      }
      batch.add(slab)
      if isLate { return false }
    }
    return true
  }

  private func finish(_ batch: inout PurgeBatch, _ ended: (SlabGeometry) -> Void) {
    let done = purge(&batch)
    for index in 0..<batch.count { giveBack(batch.slabs[index], purged: done, ended) }
    batch.count = 0
    batch.runs = 0
    batch.objects = 0
  }

  /// Returns the objects of a slab, all bits before the number: so the number tells whether others have returned some meanwhile, which
  /// this purge has not looked at, and another one may have missed for want of those that were here.
  private func giveBack(_ slab: PurgedSlab, purged: Bool, _ ended: (SlabGeometry) -> Void) {
    // Relaxed: the slab stays what it is as long as objects of it are this thread's.
    guard let sizeClass = SlabWord(bits: words[slab.head.rawValue].loadRelaxed()).sizeClass else { return }
    let geometry = geometry(sizeClass)
    for index in slab.objects.indices where slab.objects[index] != 0 {
      setFree(slab.objects[index], word: index, of: slab.head, geometry)
    }
    let others = raise(slab.head, by: slab.objectCount, geometry)
    if others > 0 || !purged { hintPurge(slab.head) }
    if others &+ slab.objectCount == geometry.objects && emptied(slab.head, geometry) { ended(geometry) }
  }

  /// The free objects of one slab, taken, and those of its frames that lie under them.
  private struct PurgedSlab {
    var head = FrameIndex(0)
    var objects = InlineArray<4, UInt64>(repeating: 0)
    var frames: UInt64 = 0

    /// Whether all objects of `range` are among them.
    func has(_ range: Range<Int>) -> Bool {
      var first = range.lowerBound
      while first < range.upperBound {
        let count = min(range.upperBound &- first, 64 &- first & 63)
        let mask = Row.mask(from: first & 63, count: count)
        if objects[first &>> 6] & mask != mask { return false }
        first &+= count
      }
      return true
    }

    var objectCount: Int {
      var count = 0
      for index in objects.indices { count &+= objects[index].nonzeroBitCount }
      return count
    }
  }

  /// Slabs that share a call; on the stack. A slab has `purgedRuns` runs of free frames at most. All of them have no more objects
  /// than a magazine, so that no more is missing for others, or lost with a thread.
  private struct PurgeBatch {
    var slabs = InlineArray<32, PurgedSlab>(repeating: PurgedSlab())
    var count = 0
    var runs = 0
    var objects = 0
    /// Frames given back so far.
    var released = 0

    func hasRoom(for slab: PurgedSlab) -> Bool {
      count < slabs.count && runs <= Int(KA_OS_RANGES) &- SlabTable.purgedRuns
        && objects &+ slab.objectCount <= StackInfo.maximumBatch
    }

    mutating func add(_ slab: PurgedSlab) {
      slabs[count] = slab
      count &+= 1
      objects &+= slab.objectCount
      runs &+= (slab.frames & ~(slab.frames &<< 1)).nonzeroBitCount
    }
  }

  static var purgedRuns: Int { 8 }

  /// Takes the free objects of the slab that `head` heads, whose word was `seen`, where pages of it can go back; `nil`: there is nothing
  /// to give back.
  private func takeFree(_ head: FrameIndex, _ seen: SlabWord) -> PurgedSlab? {
    guard let sizeClass = seen.sizeClass else { return nil }
    let geometry = geometry(sizeClass)
    let word = words[head.rawValue]
    var found = seen
    while true {
      guard geometry.isPurged(free: found.free), mayHaveFreeFrames(head, geometry),
        let next = found.reserving(found.free, of: sizeClass)
      else {
        return nil
      }
      let bits = word.compareExchangeSequentiallyConsistent(found.bits, next.bits)  // (A) (H)
      if bits == found.bits { break }
      found = SlabWord(bits: bits)
    }
    unhint(head, sizeClass)
    var slab = PurgedSlab()
    slab.head = head
    takeBits(found.free, of: head, geometry) { index, bits in slab.objects[index] |= bits }
    slab.frames = freeFrames(slab, geometry)
    return slab
  }

  /// A look before objects are taken: what others have at the moment they return, and hint at it.
  private func mayHaveFreeFrames(_ head: FrameIndex, _ geometry: SlabGeometry) -> Bool {
    var slab = PurgedSlab()
    slab.head = head
    // Relaxed: a guess.
    for index in 0..<geometry.words { slab.objects[index] = bits[firstWord(of: head) &+ index].loadRelaxed() }
    return freeFrames(slab, geometry) != 0
  }

  /// The dirty frames, as bits of the row, of which every object is among those of `slab`.
  private func freeFrames(_ slab: PurgedSlab, _ geometry: SlabGeometry) -> UInt64 {
    let head = slab.head
    // Relaxed: the frames' owner has set them; of what others have, every bit is a guess.
    let dirty = pages.dirtyWord(head.rawValue &>> 6).loadRelaxed()
    var result: UInt64 = 0
    for frame in 0..<geometry.frames {
      let bit = 1 &<< UInt64(head.rawValue & 63 &+ frame)
      if dirty & bit == 0 { continue }
      let first = (frame &<< Frames.usualShift) / geometry.objectBytes
      let end = min((frame &<< Frames.usualShift &+ Frames.bytes &- 1) / geometry.objectBytes &+ 1, geometry.objects)
      if slab.has(first..<max(end, first)) { result |= bit }
    }
    return result
  }

  /// Gives the frames of `batch` back to the operating system with one call; the objects are still taken. False: refused. Out of line,
  /// for the stack.
  @inline(never)
  private func purge(_ batch: inout PurgeBatch) -> Bool {
    var ranges = ka_os_ranges()
    for index in 0..<batch.count {
      pages.addRuns(batch.slabs[index].frames, row: batch.slabs[index].head.rawValue &>> 6, to: &ranges)
    }
    if ranges.count == 0 { return true }
    // SAFETY: every object of these frames is this thread's, and nobody uses them.
    guard unsafe ka_os_purge_ranges(&ranges) else { return false }
    for index in 0..<batch.count {
      // Relaxed: (B) the objects are returned after this.
      let frames = batch.slabs[index].frames
      _ = pages.dirtyWord(batch.slabs[index].head.rawValue &>> 6).fetchAndRelaxed(~frames)
      batch.released &+= frames.nonzeroBitCount
    }
    return true
  }
}

/// How long a purge may take, by a clock that ticks every few milliseconds.
struct PurgeTime {
  private let end: UInt64
  private var tick: UInt64
  private var calls = 0

  /// Until `end`; or less, where system calls are slow because other threads run on many CPUs.
  init(until end: UInt64, since now: UInt64 = ka_os_milliseconds()) {
    self.end = end
    tick = now
  }

  static var unlimited: PurgeTime { PurgeTime(until: .max) }
  /// Calls in a tick below which they are slow.
  private static var slowCalls: Int { 4 }

  /// After each call: whether no other should be made.
  mutating func isOver() -> Bool {
    if end == .max { return false }
    calls &+= 1
    let now = ka_os_milliseconds()
    if now == tick { return false }
    let isSlow = calls < PurgeTime.slowCalls
    tick = now
    calls = 0
    return isSlow || now >= end
  }
}
