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

  /// The first region.
  public var first: PageRegion? { Self.region(head.loadAcquire()) }  // (E)

  /// The region after `region`.
  public func next(after region: PageRegion) -> PageRegion? { Self.region(region.nextWord.loadAcquire()) }  // (E)

  private static func region(_ address: UInt64) -> PageRegion? {
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
    var region = first
    while let current = region {
      if let frame = current.allocate(frames: frames, alignment: alignment, flags: flags) { return (current, frame) }
      region = next(after: current)
    }
    return nil
  }

  /// Claims frames of a row in the first region that has any.
  public func claimRow(upTo limit: Int, order: Order, flags: AllocFlags = []) -> (PageRegion, FrameRun)? {
    var region = first
    while let current = region {
      if let run = current.claimRow(upTo: limit, order: order, flags: flags) { return (current, run) }
      region = next(after: current)
    }
    return nil
  }

  /// The region that `address` lies in.
  public func region(containing address: UnsafeRawPointer) -> PageRegion? {
    var region = first
    // SAFETY: compared, not dereferenced.
    while let current = region, unsafe !current.contains(address) { region = next(after: current) }
    return region
  }

  /// As `PageRegion.purge`, one region after the other until the budget is used up.
  public func purge(upTo frames: Int, olderThan age: UInt64 = 0, now: UInt64 = 0) -> Int {
    var released = 0
    var region = first
    while let current = region, released < frames {
      released += current.purge(upTo: frames - released, olderThan: age, now: now)
      region = next(after: current)
    }
    return released
  }

  /// The sums over the regions; the largest free run is that of one region.
  public func statistics() -> PageStatistics {
    var result = PageStatistics()
    var region = first
    while let current = region {
      result.add(current.statistics())
      region = next(after: current)
    }
    return result
  }

  /// The first fault of any region.
  public func validate(quiescent: Bool = true) -> PageFault? {
    var region = first
    while let current = region {
      if let fault = current.validate(quiescent: quiescent) { return fault }
      region = next(after: current)
    }
    return nil
  }
}
