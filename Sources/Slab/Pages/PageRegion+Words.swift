// Where the shared words of a region lie, and the layout of its metadata:
//
//     0      RegionHeader
//     256    counters                 one cache line each for what is written at different times
//     512    block words and ages     8 bytes per block
//     …      hints                    640 bytes per 8 trees (1 GiB): 10 tiers of 8 words, a search reads one line
//     …      lines                    128 bytes per block: 8 rows, then the 8 words of their dirty bits
//
// The order is chosen for sparse use: a region of any size whose first blocks alone are in use touches one page each
// of the header, the block words, the hints and the lines.

struct RegionLayout {
  static let countersOffset = 256
  static let blockWordsOffset = 512
  static let lineBytes = 128
  static let hintGroupBytes = 640
  static let treesPerHintGroup = 8

  let blocks: Int
  var trees: Int { (blocks + Frames.blocksPerTree - 1) / Frames.blocksPerTree }
  var hintsOffset: Int { (Self.blockWordsOffset + blocks * 8 + 63) & ~63 }
  var linesOffset: Int {
    let groups = (trees + Self.treesPerHintGroup - 1) / Self.treesPerHintGroup
    return (hintsOffset + groups * Self.hintGroupBytes + 127) & ~127
  }
  var bytes: Int { linesOffset + blocks * Self.lineBytes }
}

/// What a hint speaks of: tiers 0 ... 6 are free runs of the orders inside a row, tier 7 is a wholly free block, tiers 8 and 9 are
/// for purges: the block may have dirty free frames; slabs in it may have dirty frames on which no object is in use, which is the layer
/// above's to say.
enum Tier {
  static let row = 6
  static let whole = 7
  static let dirty = 8
  static let slabs = 9
}

extension PageRegion {
  // SAFETY, for every word below: the index is that of a block, row or tree of this region, so the address lies in
  // the metadata, aligned by the layout; nothing but these handles touches it once the region is published.

  @inline(__always)
  private func word(_ base: UInt, _ offset: Int) -> AtomicWord {
    unsafe AtomicWord(
      UnsafeMutablePointer<UInt64>(bitPattern: base &+ UInt(bitPattern: offset)).unsafelyUnwrapped)
  }

  @inline(__always)
  private func word32(_ base: UInt, _ offset: Int) -> AtomicWord32 {
    unsafe AtomicWord32(
      UnsafeMutablePointer<UInt32>(bitPattern: base &+ UInt(bitPattern: offset)).unsafelyUnwrapped)
  }

  /// The bits of row `row`, counted from the region's first.
  @inline(__always)
  func rowWord(_ row: Int) -> AtomicWord {
    word(unsafe header.pointee.lines, (row >> 3) * RegionLayout.lineBytes + (row & 7) * 8)
  }

  /// 1 for a frame that was freed since its memory came from the operating system. A bit belongs to the frame's owner.
  @inline(__always)
  func dirtyWord(_ row: Int) -> AtomicWord {
    word(unsafe header.pointee.lines, (row >> 3) * RegionLayout.lineBytes + 64 + (row & 7) * 8)
  }

  @inline(__always)
  func blockWord(_ block: Int) -> AtomicWord32 { word32(unsafe header.pointee.blockWords, block * 8) }

  @inline(__always)
  func ageWord(_ block: Int) -> AtomicWord32 { word32(unsafe header.pointee.blockWords, block * 8 + 4) }

  /// The hints of one tree for one tier.
  @inline(__always)
  func hintWord(tree: Int, tier: Int) -> AtomicWord {
    word(
      unsafe header.pointee.hints,
      (tree >> 3) * RegionLayout.hintGroupBytes + tier * 64 + (tree & 7) * 8)
  }

  private var counters: UInt { UInt(bitPattern: unsafe header) &+ UInt(RegionLayout.countersOffset) }

  /// Frames that an allocation may still count on, absent ones included. Kept only where frames are held in reserve.
  var availableWord: AtomicWord { word(counters, 0) }
  /// Blocks from this one on are absent.
  var highWord: AtomicWord { word(counters, 64) }
  /// No block before this one is known to be absent.
  var growWord: AtomicWord { word(counters, 72) }
  /// Below this block the layer above may write to its companions.
  var openWord: AtomicWord { word(counters, 80) }
  /// The address of the next region in a `NodePages`; 0 at the end.
  var nextWord: AtomicWord { word(counters, 128) }

  /// The state of a block, as a guess: relaxed, because whoever acts on it verifies it by compare-exchange.
  @inline(__always)
  func state(_ block: Int) -> BlockWord { BlockWord(bits: blockWord(block).loadRelaxed()) }

  /// The bits of a row, as a guess: as for `state`.
  @inline(__always)
  func row(_ row: Int) -> Row { Row(bits: rowWord(row).loadRelaxed()) }

  /// The blocks that searches look at are those below. Relaxed: a block that was published a moment ago may be
  /// missed, as if the search had come first; one that this thread knows of is below.
  var high: Int { Int(truncatingIfNeeded: highWord.loadRelaxed()) }

  /// Relaxed, as for `high`.
  func raiseHigh(to blocks: Int) {
    let high = UInt64(blocks)
    var found = highWord.loadRelaxed()
    while found < high {
      let seen = highWord.compareExchangeRelaxed(found, high)
      if seen == found { return }
      found = seen
    }
  }
}
