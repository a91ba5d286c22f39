// The regions of one node: a list that only grows at its end.
//
// Publishing a region is one compare-exchange of the last link from 0, a release (E); walking reads each link with
// acquire (E) and so sees the header and the metadata as `create` left them. Nothing is ever unlinked while the list
// is in use, so there is no ABA and nothing to reclaim. Adding is lock-free: a lost compare-exchange found another
// region added.

/// The page regions of one node, in the order in which they were added.
///
/// A handle over one word, which the caller provides: the address of the first region.
///
/// Thread-safety: Concurrent.
@safe
public struct NodePages: Sendable {
  private let head: AtomicWord

  /// - Parameter head: a word that is 0 before its first use as a list.
  ///
  /// > Safety: the word is touched by nothing but `NodePages` handles, and outlives them, as do the regions added.
  @unsafe
  public init(head: AtomicWord) { self.head = head }

  /// A walk along the links, which reads a region's link only when it is asked for the next one. No `Sequence`: the
  /// requirements of that allocate.
  public struct Walk {
    fileprivate var link: AtomicWord

    /// The next region; nil at the end, until another is added.
    @inline(__always)
    public mutating func next() -> PageRegion? {
      guard let region = NodePages.region(link.loadAcquire()) else { return nil }  // (E)
      link = region.nextWord
      return region
    }
  }

  /// A walk from the first region on.
  @inline(__always)
  public var regions: Walk { Walk(link: head) }

  /// The first region.
  public var first: PageRegion? { Self.region(head.loadAcquire()) }  // (E)

  @inline(__always)
  fileprivate static func region(_ address: UInt64) -> PageRegion? {
    // SAFETY: the links hold 0 or the address of a region's header, written by `add`.
    guard let header = unsafe UnsafeMutablePointer<RegionHeader>(bitPattern: UInt(address)) else { return nil }
    return unsafe PageRegion(header)
  }

  /// Adds a region at the end. A region is in one list, once.
  ///
  /// Lock-free.
  public func add(_ region: PageRegion) {
    let address = UInt64(UInt(bitPattern: unsafe region.header))
    var link = head
    while true {
      let found = link.compareExchangeAcquireRelease(0, address)  // (E)
      guard let last = Self.region(found) else { return }
      precondition(last != region, "A page region is added to one list, once")
      link = last.nextWord
    }
  }

  /// Allocates from the first region that can serve.
  public func allocate(frames: Int, alignment: Int = 1, flags: AllocFlags = []) -> (PageRegion, FrameIndex)? {
    var regions = self.regions
    while let region = regions.next() {
      if let frame = region.allocate(frames: frames, alignment: alignment, flags: flags) { return (region, frame) }
    }
    return nil
  }

  /// Claims frames of a row in the first region that has any.
  public func claimRow(upTo limit: Int, order: Order, flags: AllocFlags = []) -> (PageRegion, FrameRun)? {
    var regions = self.regions
    while let region = regions.next() {
      if let run = region.claimRow(upTo: limit, order: order, flags: flags) { return (region, run) }
    }
    return nil
  }

  /// The region that `address` lies in.
  public func region(containing address: UnsafeRawPointer) -> PageRegion? {
    var regions = self.regions
    while let region = regions.next() {
      // SAFETY: compared, not dereferenced.
      if unsafe region.contains(address) { return region }
    }
    return nil
  }

  /// As `PageRegion.purge`, one region after the other until the budget is used up.
  public func purge(upTo frames: Int, olderThan age: UInt64 = 0, now: UInt64 = 0) -> Int {
    var released = 0
    var regions = self.regions
    while released < frames, let region = regions.next() {
      released += region.purge(upTo: frames - released, olderThan: age, now: now)
    }
    return released
  }

  /// The sums over the regions; the largest free run is that of one region.
  public func statistics() -> PageStatistics {
    var result = PageStatistics()
    var regions = self.regions
    while let region = regions.next() { result.add(region.statistics()) }
    return result
  }

  /// The first fault of any region.
  public func validate(quiescent: Bool = true) -> PageFault? {
    var regions = self.regions
    while let region = regions.next() {
      if let fault = region.validate(quiescent: quiescent) { return fault }
    }
    return nil
  }
}
