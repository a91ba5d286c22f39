// Slabs: runs of frames cut into objects of one size class. Everything known about them lies out of line, indexed from
// the address, so that nothing a program writes into its objects can reach it.
//
// Per frame of the region:
//
//     owner   1 byte    0: nobody's   1…40: a slab of class index + 1   41…44: pages begin   45…85: a large run begins
//     word    8 bytes   `SlabWord`, at the frame that heads a slab or a run
//     bits    32 bytes  free objects of the slab, 1 = free; a slab's bits begin at its head's and run on
//
// The second half of a slab's bits, which only the smallest class needs for itself, holds its labels: 1 = the object answers to
// a smaller size (Heap+Relabel.swift). A large run has one, in the middle of its head's bits.
//
// A bit for each 16 bytes, the smallest object, is room for every class. Untouched metadata is never backed by memory; in a reserved
// region what belongs to absent blocks cannot be written (`Companion`), so that `mlockall` leaves it alone, too.
//
// Which slabs have free objects is a set of hints in three levels, because a tree of set bits can lose a member
// anywhere in its middle, where a linked list of slabs could not without an ABA:
//
//     heads     per row of frames     bit = this frame heads a slab that may have free objects (of any class)
//     blocks    per class             bit = this block may hold such a slab of the class
//     summary   per class             bit = this word of `blocks` may be non-zero
//
// The words of all classes for the same blocks lie side by side: a small heap touches one page of them, not one for each
// class. A page that is read before it is written costs two faults and a flush on every CPU that runs the process.
//
// A hint that is set wrongly costs a look; one that is missing while objects are free would lose them. So: who makes
// objects free first changes the word, then sets the hints upwards; who finds none first clears the hint, then looks
// again, and sets it back where the look finds something. Both steps of both sides are sequentially consistent, so one
// of the two sees the other (Dekker): (H).
//
// States of a slab and who may do what:
//
//     none ──create──▶ {class, free = n} ⇄ take / give ⇄ … {class, free = capacity} ──retire──▶ none
//
// `take` lowers the count by compare-exchange (a promise of so many bits), then takes bits by fetch-and; `give` sets
// bits by fetch-or, then raises the count by fetch-add. So bits ≥ count + promises at all times, and a taker that finds
// too few bits in one pass knows that others took bits that arrived meanwhile: it passes again while somebody else has
// advanced. `retire` is the compare-exchange from a full count, which excludes every promise; whoever wins owns the
// slab's frames and all its metadata.
//
// A thread stopped anywhere blocks nobody. One that is killed loses what it had promised or gathered: at most one
// magazine of objects, whose slabs then never become wholly free.
//
// Orderings: (A)  a slab's word is published by a release in `create`, seen by the acquire in `take`.
//            (B)  an object's last use by its former owner is before the fetch-or (release) in `give`; the new owner
//                     takes the bit by fetch-and (acquire).
//            (C)  every use of the slab is before the fetch-add (release) in `give`; the retiring compare-exchange
//                     (acquire) is after all of them, so the frames leave with nobody's stores pending.
//            (E)  who frees the last object of the spare leaves it be; who makes another slab the spare, or none, looks
//                     whether the old one is wholly free. Count, then spare; spare, then count (Dekker).
//
// After Bonwick, "The Slab Allocator" (1994), with the bitmap of free objects that jemalloc and llfree use.

import KAllocAtomics

/// The slabs of one region of frames.
///
/// A handle over the region's metadata. Thread-safety: Concurrent.
///
/// ## Invariants
/// `header` points to the table that `make` wrote before the region was published.
@safe
struct SlabTable: Sendable {
  nonisolated(unsafe) let header: UnsafeMutablePointer<Header>

  /// Where the parts of a table lie. Written by `make`, then only read.
  @unsafe struct Header {
    let pages: PageRegion
    let classes: UnsafePointer<StackInfo>
    let owners: ByteArray
    let words: WordArray
    let bits: WordArray
    let heads: WordArray
    let blocks: WordArray
    let summary: WordArray
    /// Per class: 1 + the head frame of the one empty slab that is kept.
    let spares: WordArray
    let blockWords: Int
    /// What `dispose` unmaps; 0 where the memory was given.
    let mappedBytes: Int
  }

  /// What the owner byte says of a frame. `StackIndex.owner(ofPages:)` has its value for pages.
  enum Owner {
    static let none: UInt8 = 0
    /// The head of a large run: its stack's number + 1 where it has a length that a stack takes.
    static func run(of frames: Int) -> UInt8 {
      guard let runClass = RunClass(exactly: frames) else { return UInt8(KA_OWNER_RUN) }
      return UInt8(truncatingIfNeeded: StackIndex(runClass).rawValue &+ 1)
    }
    static func isRun(_ owner: UInt8) -> Bool { Int(owner) > SizeClass.count &+ StackIndex.pageOrders }
    /// The class of a slab's frames; `nil`: they are no slab's.
    static func sizeClass(_ owner: UInt8) -> SizeClass? {
      owner == none || Int(owner) > SizeClass.count ? nil : SizeClass(index: Int(owner) &- 1)
    }
  }

  /// The words of bitmap for each frame: one bit for each 16 bytes.
  static var bitWordsPerFrame: Int { Frames.bytes / 16 / 64 }

  @inline(__always) var pages: PageRegion { unsafe header.pointee.pages }
  @inline(__always) var owners: ByteArray { unsafe header.pointee.owners }
  @inline(__always) var words: WordArray { unsafe header.pointee.words }
  @inline(__always) var bits: WordArray { unsafe header.pointee.bits }
  @inline(__always) var heads: WordArray { unsafe header.pointee.heads }
  @inline(__always) var spares: WordArray { unsafe header.pointee.spares }

  @inline(__always)
  func geometry(_ sizeClass: SizeClass) -> SlabGeometry {
    // SAFETY: the heap's table of stacks outlives its regions and holds every class.
    unsafe header.pointee.classes[sizeClass.index].slab
  }

  /// The table behind a region that this heap made.
  @inline(__always)
  init(of pages: PageRegion) {
    // SAFETY: `make` attached the header before the region was published.
    unsafe header = pages.attachment!.assumingMemoryBound(to: Header.self)
  }

  /// The bytes that the table of a region of so many frames needs.
  static func bytes(frames: Int) -> Int { Parts(frames: frames).end }

  private struct Parts {
    let words, bits, heads, blocks, summary, spares, owners, end: Int
    let blockWords: Int

    init(frames: Int) {
      let blockCount = (frames + Frames.perBlock - 1) / Frames.perBlock
      let rows = blockCount * Frames.rowsPerBlock
      blockWords = (blockCount + 63) / 64
      let summaryWords = (blockWords + 63) / 64
      // The small parts first: a small process touches few pages of metadata.
      summary = (unsafe MemoryLayout<Header>.size + 63) & ~63
      spares = summary + summaryWords * SizeClass.count * 8
      blocks = spares + SizeClass.count * 8
      heads = blocks + blockWords * SizeClass.count * 8
      words = heads + rows * 8
      bits = words + blockCount * Frames.perBlock * 8
      // The classes that `Heap.objectClass` reads stand right before the owners.
      owners = bits + blockCount * Frames.perBlock * SlabTable.bitWordsPerFrame * 8 + Int(KA_CLASSES_BYTES)
      end = owners + blockCount * Frames.perBlock
    }
  }

  /// Memory for the table of a reserved region, of which the parts that have something for each frame can only be read: they become
  /// writable as the region grows. `nil`: refused.
  static func map(frames: Int) -> UnsafeMutableRawPointer? {
    let parts = Parts(frames: frames)
    guard let memory = unsafe ka_os_reserve(parts.end, Int(KA_OS_PAGE_BYTES)) else { return nil }
    let owners = UInt(bitPattern: memory) + UInt(parts.owners)
    let classes = Companion(base: owners - UInt(KA_CLASSES_BYTES), bytesPerBlock: Int(KA_CLASSES_BYTES))
    let front = Companion(base: UInt(bitPattern: memory), bytesPerBlock: parts.words)
    // SAFETY: the mapping is this function's until it returns it.
    guard unsafe ka_os_read_only(memory, parts.end), front.open(0..<1), classes.open(0..<1) else {
      unsafe ka_os_unmap(memory, parts.end)
      return nil
    }
    unsafe ka_os_no_huge_pages(memory, parts.end)
    return unsafe memory
  }

  /// Makes the table of `pages` in `memory`, which is zeroed and holds `bytes(frames:)`, and attaches it.
  ///
  /// > Safety: `memory` is the table's alone, and stays, or was mapped for it; `classes` outlives it; the region is not published yet.
  @unsafe
  static func make(
    _ pages: PageRegion, in memory: UnsafeMutableRawPointer, classes: UnsafePointer<StackInfo>, mapped: Bool
  ) -> SlabTable {
    let parts = Parts(frames: pages.blocks * Frames.perBlock)
    let header = unsafe memory.bindMemory(to: Header.self, capacity: 1)
    unsafe header.initialize(
      to: Header(
        pages: pages, classes: classes, owners: ByteArray(memory + parts.owners),
        words: WordArray(memory + parts.words),
        bits: WordArray(memory + parts.bits), heads: WordArray(memory + parts.heads),
        blocks: WordArray(memory + parts.blocks), summary: WordArray(memory + parts.summary),
        spares: WordArray(memory + parts.spares), blockWords: parts.blockWords,
        mappedBytes: mapped ? parts.end : 0))
    unsafe pages.attachment = UnsafeMutableRawPointer(header)
    let table = unsafe (memory + parts.owners - Int(KA_CLASSES_BYTES)).assumingMemoryBound(to: ka_class.self)
    for index in 0..<SizeClass.count { unsafe table[index + 1] = classes[index].slab.entry }
    for index in 0..<RunClass.count {
      unsafe table[StackIndex(RunClass(index: index)).rawValue + 1] = RunClass(index: index).entry
    }
    if mapped {
      let start = UInt(bitPattern: memory)
      pages.companions = (
        Companion(base: start + UInt(parts.words), bytesPerBlock: Frames.perBlock * 8),
        Companion(base: start + UInt(parts.bits), bytesPerBlock: Frames.perBlock * SlabTable.bitWordsPerFrame * 8),
        Companion(base: start + UInt(parts.owners), bytesPerBlock: Frames.perBlock)
      )
    }
    let made = SlabTable(of: pages)
    // Written before they are looked at: see `HeapState.writeFirst`.
    made.heads[0].storeRelaxed(0)
    unsafe header.pointee.blocks[0].storeRelaxed(0)
    unsafe header.pointee.summary[0].storeRelaxed(0)
    return made
  }

  /// Gives the table's memory back. Externally synchronised: nobody uses the region any more.
  @unsafe
  func dispose() {
    let bytes = unsafe header.pointee.mappedBytes
    if bytes > 0 { unsafe ka_os_unmap(header, bytes) }
  }

  /// The head of the slab that `frame` lies in.
  @inline(__always)
  func head(of frame: FrameIndex, _ geometry: SlabGeometry) -> FrameIndex {
    FrameIndex(frame.rawValue & ~(geometry.frames &- 1))
  }

  /// The index in `bits` of the first word of the slab that `head` heads.
  @inline(__always)
  func firstWord(of head: FrameIndex) -> Int { head.rawValue &* SlabTable.bitWordsPerFrame }

  /// The index in `bits` of the first word of the labels of the slab or run that `head` heads, of so many frames (a run: 1).
  @inline(__always)
  func firstLabel(of head: FrameIndex, frames: Int) -> Int {
    firstWord(of: head) &+ frames &* SlabTable.bitWordsPerFrame / 2
  }
}
