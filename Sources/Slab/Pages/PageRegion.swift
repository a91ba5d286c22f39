// A lock-free buddy allocator over one range of memory.
//
// The range is divided into frames (4 KiB unless said otherwise), rows of 64 frames, blocks of 8 rows and trees of 64
// blocks. Nothing is written into the frames; the metadata lies elsewhere, indexed by frame number:
//
//     block words   │ free 512 │ free 3 │ growing │ absent │ …     one 32-bit word per block, beside its age
//     rows          │ 64 bits │ × 8 per block, 1 = allocated       one cache line; the dirty bits are the next line
//     hints         │ 64 bits │ per tree and tier                  bit b: block b may have a free run of this order
//
// **Taking** frames: (1) reserve the number in the block word, (2) set the bits in the rows, both by compare-exchange.
// **Freeing**: (1) mark dirty, (2) clear the bits, (3) add the number to the block word, (4) raise the hints.
// The block word counts down before bits are set and up after they are cleared, hence the invariant of everything here:
//
//     free(block) + reserved by takers + cleared by freers, not yet added == clear bits of the block
//
// so free == 512 says that nobody holds or is taking any frame, and one compare-exchange 512 → 0 owns the block; and
// after a reservation of n, n clear bits exist for this thread at every moment. They need not be adjacent: a search
// that finds no run gives its reservation back. Bits are set for large runs too, so that any part of a run can be
// freed, and a double free is noticed in every frame.
//
// **Runs across rows and blocks** are taken in ascending order of address and rolled back at the first frame that
// somebody else has. Two overlapping takers cannot undo each other for ever: the one that holds the highest contested
// row meets no other and completes. There is no claimed state that a stopped thread could leave behind.
//
// **Growth**: absent → growing → present, by the one thread whose compare-exchange claimed the block. Everybody else
// takes a growing block for full. The grower sets the bits of its own frames before it publishes the block (B).
//
// **Hints** only guide the search: nothing is refused before every block word has been looked at. Each tier keeps
// itself right by Dekker's pattern (C), in PageRegion+Hints.swift.
//
// **Purge** takes free frames as any caller does, gives their memory back, and frees them clean.
//
// **Progress.** A free is wait-free: a bounded number of read-modify-writes that cannot fail. Taking is lock-free:
// a compare-exchange fails only where another succeeded, and every search visits each block a bounded number of times.
// A thread stopped anywhere keeps at most the frames it has reserved or taken, for as long as it is stopped; a block
// that it is growing stays growing. Nobody waits for it. What this costs is that an allocation racing with others may
// fail although frames that they were about to give back would have served it; alone, it fails only where none fit.
//
// Orderings. Everything not listed is relaxed: hints to the search, verified by a later compare-exchange, or fields
// that only the owner of a frame touches.
//
//     (A) row cleared, release        ↔ row taken, acquire            the last owner's accesses, and the dirty bits
//     (B) block published, release    ↔ block word reserved, acquire  committed memory, the rows as the grower left them
//     (C) hint lowered, looked again  ↔ freed, hint looked at         all four sequentially consistent
//     (D) dirty hint cleared, rows    ↔ freed, dirty hint looked at   all four sequentially consistent
//     (E) region published, release   ↔ list walked, acquire          the region's header and metadata
//     (F) frames added, release       ↔ block word reserved, acquire  the rows as cleared: 512 means eight clear rows
//     (G) mark raised, release        ↔ mark read, acquire            the companions below it are writable
//
// After LLFree (Wrenger et al., USENIX ATC 2023) in its two levels and the reservation; the rows searched by value,
// runs, the hints, growth and purge are our own.

import KAllocAtomics

/// A range of memory, divided into frames that any thread may allocate and free without locks.
///
/// A handle, one pointer wide, over metadata outside the range's frames.
///
/// Use it for runs of whole pages. For objects smaller than a page use a cache, which takes its pages from here.
///
/// Thread-safety: Concurrent, except `create`, `destroy` and setting `attachment`: externally synchronised.
///
/// ## Invariants
/// `header` points to an initialised `RegionHeader` whose fields are constant once the region is published, followed
/// by the words that `PageRegion+Words` addresses. They stay mapped until `destroy`.
@safe
public struct PageRegion: Sendable, Equatable {
  nonisolated(unsafe) let header: UnsafeMutablePointer<RegionHeader>

  @unsafe
  init(_ header: UnsafeMutablePointer<RegionHeader>) {
    unsafe self.header = header
  }

  public static func == (left: PageRegion, right: PageRegion) -> Bool {
    unsafe left.header == right.header
  }

  /// Where the memory of a region comes from.
  public enum Backing: Equatable, Sendable {
    /// All of it is usable now and stays so: a static arena, a kernel's memory. Its contents are unknown.
    case given
    /// Address space of `ka_os_reserve`: committed block by block, purged when free, zero where clean.
    case reserved
  }
}

/// What is constant in a region once it is published. The shared words follow it in the metadata.
struct RegionHeader {
  /// The address of frame 0, on a block boundary. The frame itself may lie before the usable ones.
  var origin: UInt
  /// The usable frames are `head ..< limit`.
  var head: Int
  var limit: Int
  var shift: Int
  var blocks: Int
  var node: NodeIndex
  var backing: PageRegion.Backing
  var reserveFrames: Int
  /// Addresses in the metadata.
  var blockWords: UInt
  var hints: UInt
  var lines: UInt
  /// What `destroy` unmaps; 0 bytes where the metadata was given.
  var mapping: UInt
  var mappingBytes: Int
  var attachment: UInt
  var companions = (Companion(), Companion(), Companion())
}

/// An array of the layer above, with so many bytes for each block. In a reserved region it is written only where the block is present, and
/// cannot be written before: what a program could touch of its address space without having asked for it is small.
struct Companion {
  var base: UInt = 0
  var bytesPerBlock = 0

  /// Makes the part of `blocks` writable, with what else lies on its pages; false: refused.
  func open(_ blocks: Range<Int>) -> Bool {
    if bytesPerBlock == 0 { return true }
    let mask = UInt(KA_OS_PAGE_BYTES) - 1
    let start = (base &+ UInt(blocks.lowerBound &* bytesPerBlock)) & ~mask
    let end = (base &+ UInt(blocks.upperBound &* bytesPerBlock) &+ mask) & ~mask
    // SAFETY: pages of the array, which is the layer's above and stays mapped as long as the region.
    return unsafe ka_os_commit(UnsafeMutableRawPointer(bitPattern: start).unsafelyUnwrapped, Int(end &- start))
  }
}

extension PageRegion {
  // SAFETY, for every access to `header`: by the invariant of the type it is initialised and stays mapped.
  var origin: UInt { unsafe header.pointee.origin }
  var head: Int { unsafe header.pointee.head }
  var limit: Int { unsafe header.pointee.limit }
  var blocks: Int { unsafe header.pointee.blocks }
  var reserveFrames: Int { unsafe header.pointee.reserveFrames }
  var isReserved: Bool { unsafe header.pointee.backing == .reserved }

  public var frameShift: Int { unsafe header.pointee.shift }
  public var node: NodeIndex { unsafe header.pointee.node }
  public var backing: Backing { unsafe header.pointee.backing }

  /// The usable frames; what lies outside is permanently allocated.
  public var firstFrame: FrameIndex { FrameIndex(head) }
  /// The number of usable frames.
  public var frameCount: Int { limit - head }

  /// The address of the first usable frame.
  public var base: UnsafeMutableRawPointer { unsafe address(of: firstFrame) }

  /// A pointer that the layer above may set once, before the region is published.
  public var attachment: UnsafeMutableRawPointer? {
    get { unsafe UnsafeMutableRawPointer(bitPattern: header.pointee.attachment) }
    nonmutating set { unsafe header.pointee.attachment = UInt(bitPattern: newValue) }
  }

  /// What the layer above may set with its attachment.
  var companions: (Companion, Companion, Companion) {
    get { unsafe header.pointee.companions }
    nonmutating set { unsafe header.pointee.companions = newValue }
  }

  /// Whether `address` lies in a usable frame.
  @inline(__always)
  public func contains(_ address: UnsafeRawPointer) -> Bool {
    let first = origin &+ UInt(bitPattern: head << frameShift)
    return UInt(bitPattern: address) &- first < UInt(bitPattern: frameCount << frameShift)
  }

  /// The frame that `address` lies in; nil outside the usable frames.
  @inline(__always)
  public func frame(of address: UnsafeRawPointer) -> FrameIndex? {
    // SAFETY: compared, not dereferenced.
    guard unsafe contains(address) else { return nil }
    return FrameIndex(Int(bitPattern: (UInt(bitPattern: address) &- origin) >> UInt(frameShift)))
  }

  /// The address of a usable frame, or of the end of the last one.
  public func address(of frame: FrameIndex) -> UnsafeMutableRawPointer {
    // SAFETY: formed, not dereferenced. A usable frame's address is not null, since it lies in the caller's range.
    unsafe UnsafeMutableRawPointer(bitPattern: origin &+ UInt(bitPattern: frame.rawValue << frameShift))
      .unsafelyUnwrapped
  }

  /// Whether `frames` from `first` are usable frames, in number at least 1.
  @inline(__always)
  func spans(_ first: Int, _ frames: Int) -> Bool {
    first >= head && first < limit && frames >= 1 && frames <= limit - first
  }

  /// The usable frames of a block.
  @inline(__always)
  func usable(_ block: Int) -> Range<Int> {
    let first = block * Frames.perBlock
    return Swift.max(first, head)..<Swift.min(first + Frames.perBlock, limit)
  }
}
