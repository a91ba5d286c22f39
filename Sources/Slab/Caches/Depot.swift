// The depot of one node: whole magazines of each stack, between the CPUs' stacks and the slabs.
//
// Each stack but those of large blocks has `StackInfo.depotSlots` slots, each with memory for one magazine. Two words of bits say which slots are
// full and which are empty; a slot in neither is owned by one thread, which fills or empties its magazine:
//
//     empty ──takeEmpty──▶ owned ──putFull──▶ full
//       ▲                    │ ▲                │
//       └─────putEmpty───────┘ └───takeFull─────┘
//
// Taking is a fetch-and of the one bit (whoever clears it owns the slot), putting a fetch-or: no list, so no ABA; no
// wait, because a slot that somebody owns is skipped. A magazine moves with two locked instructions for N objects.
// A thread that is killed while it owns a slot takes that one magazine with it.
//
// Magazines that nobody comes for go back to the slabs. Looks, a second apart, mark the full slots; taking a slot takes its mark with
// it, in the same instruction; what is marked at the next look has lain for that second:
//
//     full ──rest──▶ full, rested ──takeRested──▶ owned
//       ▲                 │
//       └──────── take, put ────
//
// The marks are the upper half of the word of full slots, so they cost the others nothing. Both steps of a look are
// compare-exchanges of that word: a mark is only ever set on a slot that is full, and a magazine is only taken for its mark while it
// has one. One that fails does because somebody took or put a magazine, or looked.
//
// Orderings: (M)  the magazine's words, and the last use of the objects in it, are before the fetch-or (release)
//                      that puts it; whoever takes it by fetch-and (acquire) is after them.
//
// Two-level magazines: Bonwick and Adams, "Magazines and Vmem", 2001. The slot array instead of their locked lists is
// this project's.

/// The magazines of one stack on one node. Thread-safety: Concurrent.
@safe
struct Depot {
  private let full: AtomicWord
  private let empty: AtomicWord
  nonisolated(unsafe) private let first: UnsafeMutableRawPointer
  nonisolated(unsafe) private let others: UnsafeMutableRawPointer
  private let magazineBytes: Int

  /// > Safety: `full` and `empty` are this depot's words; `first` has room for one magazine of `info`, `others` for the rest of
  /// > `StackInfo.depotSlots`.
  @unsafe
  init(
    full: AtomicWord, empty: AtomicWord, first: UnsafeMutableRawPointer, others: UnsafeMutableRawPointer,
    info: StackInfo
  ) {
    self.full = full
    self.empty = empty
    unsafe self.first = first
    unsafe self.others = others
    magazineBytes = info.magazineBytes
  }

  /// A magazine that the caller owns: a count and as many pointers.
  @safe
  struct Magazine {
    let slot: Int
    nonisolated(unsafe) let words: UnsafeMutablePointer<UInt64>

    var count: Int {
      // Relaxed: the owner's alone, but for statistics, which may read an old one.
      get { unsafe Int(truncatingIfNeeded: AtomicWord(words).loadRelaxed()) }
      nonmutating set { unsafe AtomicWord(words).storeRelaxed(UInt64(truncatingIfNeeded: newValue)) }
    }

    /// The pointers. Only while the caller owns the magazine.
    @unsafe var pointers: UnsafeMutablePointer<UInt64> { unsafe words + 1 }
  }

  /// Every slot empty: how a depot begins. Before it is published.
  func initialise() {
    empty.storeRelaxed(FullSlots.every)
  }

  func magazine(_ slot: Int) -> Magazine {
    let place = unsafe slot == 0 ? first : others + (slot &- 1) &* magazineBytes
    return unsafe Magazine(slot: slot, words: place.assumingMemoryBound(to: UInt64.self))
  }

  /// Takes the lowest slot whose bit is set. Lock-free: a bit lost to another thread is that thread's advance.
  private func take(_ word: AtomicWord) -> Magazine? {
    // Relaxed: a guess; the fetch-and decides.
    var found = FullSlots(bits: word.loadRelaxed()).full
    while found != 0 {
      let bit = found & ~(found &- 1)
      // (M) acquire.
      let before = word.fetchAndAcquire(~FullSlots.withMark(bit))
      if before & bit != 0 { return magazine(bit.trailingZeroBitCount) }
      found = FullSlots(bits: before & ~bit).full
    }
    return nil
  }

  private func put(_ magazine: Magazine, _ word: AtomicWord) {
    // (M) release.
    _ = word.fetchOrRelease(1 &<< UInt64(truncatingIfNeeded: magazine.slot))
  }

  /// A magazine with at least one pointer; `nil` where there is none.
  func takeFull() -> Magazine? { take(full) }
  /// An empty magazine to fill; `nil` where all are full or owned.
  func takeEmpty() -> Magazine? { take(empty) }

  /// A magazine that was full at the last look and that nobody has taken since; `nil`: there is none.
  func takeRested() -> Magazine? {
    // Relaxed: a guess; the compare-exchange decides.
    var found = full.loadRelaxed()
    while let (next, slot) = FullSlots(bits: found).takingRested() {
      // (M) acquire.
      let seen = full.compareExchangeAcquire(found, next.bits)
      if seen == found { return magazine(slot) }
      found = seen
    }
    return nil
  }

  /// Marks all that are full, for the next look.
  func rest() {
    // Relaxed: marks publish nothing, and what the puts released stays so behind them.
    var found = full.loadRelaxed()
    while let next = FullSlots(bits: found).resting() {
      let seen = full.compareExchangeRelaxed(found, next.bits)
      if seen == found { return }
      found = seen
    }
  }

  /// Gives a magazine back, as full or as empty as its count says.
  func put(_ magazine: Magazine) { put(magazine, magazine.count == 0 ? empty : full) }

  /// The pointers in all full magazines: exact when quiescent.
  var pointers: Int {
    // (M) acquire: the counts of the magazines that are full now.
    var rest = FullSlots(bits: full.loadAcquire()).full
    var sum = 0
    while rest != 0 {
      sum &+= magazine(rest.trailingZeroBitCount).count
      rest &= rest &- 1
    }
    return sum
  }

  /// Whether no slot is both full and empty, and none but full ones are marked.
  var isConsistent: Bool {
    let slots = FullSlots(bits: full.loadRelaxed())
    return slots.full & empty.loadRelaxed() == 0 && slots.rested & ~slots.full == 0
  }

  /// Whether no slot is owned by anybody, as it must be when quiescent.
  var isWhole: Bool { FullSlots(bits: full.loadRelaxed()).full ^ empty.loadRelaxed() == FullSlots.every }
}
