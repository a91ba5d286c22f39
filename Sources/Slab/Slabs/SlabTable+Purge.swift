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

  /// Gives back the pages that no object uses of all slabs that are at least half free. Returns the frames.
  ///
  /// `ended` is called for each slab that ended meanwhile. What is left when the time is over stays. O(frames in blocks that were ever used), and a system call for up to 32 slabs. Concurrent.
  func purge(within time: inout PurgeTime, ended: (SlabGeometry) -> Void) -> Int {
    if !pages.isReserved { return 0 }
    var batch = PurgeBatch()
    var isLate = false
    forEachHead { head, _ in
      guard !isLate, let slab = takeFree(head) else { return }
      if slab.frames == 0 { return giveBack(slab, ended) }
      if !batch.hasRoom(for: slab) {
        finish(&batch, ended)
        isLate = time.isOver()
      }
      batch.add(slab)
    }
    finish(&batch, ended)
    return batch.released
  }

  private func finish(_ batch: inout PurgeBatch, _ ended: (SlabGeometry) -> Void) {
    purge(&batch)
    for index in 0..<batch.count { giveBack(batch.slabs[index], ended) }
    batch.count = 0
    batch.runs = 0
    batch.objects = 0
  }

  private func giveBack(_ slab: PurgedSlab, _ ended: (SlabGeometry) -> Void) {
    // Relaxed: the slab stays what it is as long as objects of it are this thread's.
    guard let sizeClass = SlabWord(bits: words[slab.head.rawValue].loadRelaxed()).sizeClass else { return }
    let geometry = geometry(sizeClass)
    for index in slab.objects.indices where slab.objects[index] != 0 {
      if give(slab.objects[index], word: index, of: slab.head, geometry) { ended(geometry) }
    }
  }

  /// The free objects of one slab, taken, and those of its frames that lie under them.
  private struct PurgedSlab {
    var head = FrameIndex(0)
    var objects = InlineArray<4, UInt64>(repeating: 0)
    var frames: UInt64 = 0

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

  /// The most words of bitmap that a slab may have to be purged: objects of 64 bytes and more. Smaller ones seldom leave a page
  /// free.
  private static var purgedWords: Int { 4 }

  /// Takes the free objects of the slab that `head` heads, where at least half of it is free and pages of it can go back; `nil`:
  /// there is nothing to give back.
  private func takeFree(_ head: FrameIndex) -> PurgedSlab? {
    let word = words[head.rawValue]
    // (A) acquire, as in `take`.
    var found = word.loadAcquire()
    guard let sizeClass = SlabWord(bits: found).sizeClass else { return nil }
    let geometry = geometry(sizeClass)
    let mask = Row.mask(from: head.rawValue & 63, count: geometry.frames)
    // Relaxed: a guess.
    guard geometry.words <= SlabTable.purgedWords, pages.dirtyWord(head.rawValue &>> 6).loadRelaxed() & mask != 0 else {
      return nil
    }
    while true {
      let count = SlabWord(bits: found).free
      // One that is wholly free is the spare, or about to end.
      guard count &* 2 >= geometry.objects, count < geometry.objects,
        let next = SlabWord(bits: found).reserving(count, of: sizeClass)
      else {
        return nil
      }
      let seen = word.compareExchangeSequentiallyConsistent(found, next.bits)  // (A) (H)
      if seen == found {
        unhint(head, sizeClass)
        var slab = PurgedSlab()
        slab.head = head
        takeBits(count, of: head, geometry) { index, bits in slab.objects[index] |= bits }
        slab.frames = freeFrames(slab, geometry) & pages.dirtyWord(head.rawValue &>> 6).loadRelaxed()
        return slab
      }
      found = seen
    }
  }

  /// The frames, as bits of the row, of which every object is among those taken.
  private func freeFrames(_ slab: PurgedSlab, _ geometry: SlabGeometry) -> UInt64 {
    var result: UInt64 = 0
    for frame in 0..<geometry.frames {
      let first = (frame &<< Frames.usualShift) / geometry.objectBytes
      let end = min((frame &<< Frames.usualShift &+ Frames.bytes &- 1) / geometry.objectBytes &+ 1, geometry.objects)
      var isFree = true
      for object in first..<max(end, first) where slab.objects[object &>> 6] &>> UInt64(object & 63) & 1 == 0 {
        isFree = false
        break
      }
      if isFree { result |= 1 &<< UInt64(slab.head.rawValue & 63 &+ frame) }
    }
    return result
  }

  /// Gives the frames of `batch` back to the operating system with one call; the objects are still taken. Out of line, for the stack.
  @inline(never)
  private func purge(_ batch: inout PurgeBatch) {
    var ranges = ka_os_ranges()
    for index in 0..<batch.count {
      pages.addRuns(batch.slabs[index].frames, row: batch.slabs[index].head.rawValue &>> 6, to: &ranges)
    }
    // SAFETY: every object of these frames is this thread's, and nobody uses them.
    guard ranges.count > 0, unsafe ka_os_purge_ranges(&ranges) else { return }
    for index in 0..<batch.count {
      // Relaxed: (B) the objects are returned after this.
      let frames = batch.slabs[index].frames
      _ = pages.dirtyWord(batch.slabs[index].head.rawValue &>> 6).fetchAndRelaxed(~frames)
      batch.released &+= frames.nonzeroBitCount
    }
  }
}

/// How long a purge may take, by a clock that ticks every few milliseconds.
struct PurgeTime {
  private let end: UInt64
  private var tick: UInt64
  private var calls = 0

  /// Until `end`; or less, where system calls are slow because other threads run on many CPUs.
  init(until end: UInt64) {
    self.end = end
    tick = ka_os_milliseconds()
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
