// Which slabs give back the pages that no object uses: all that are at least half free, when slabs are cut as if the program had
// moved on to other sizes, and on request.

import KAllocAtomics

extension HeapState {
  /// Purges slabs where since the last time so many were cut that much of the heap may lie between objects that stay. `bytes` are
  /// cut now.
  ///
  /// A program that goes on with the same sizes cuts few: it takes what it has freed. A page that is given back too early costs a
  /// fault; at most eight for each page that is cut.
  func purgeSlabsInCutting(_ bytes: Int) {
    if !growsByOS { return }
    let word = control(.cut)
    // Relaxed: a count, which publishes nothing. Who takes it back to 0 purges.
    let cut = Int(truncatingIfNeeded: word.fetchAddRelaxed(UInt64(truncatingIfNeeded: bytes))) &+ bytes
    let committed = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    if committed < HeapState.leastPurged || cut < 8 << 20 &+ committed / 8 { return }
    if word.exchangeRelaxed(0) == 0 { return }
    emptyOwnStacks()
    collect(draining: false)
    _ = purgeSlabs(within: PurgeTime(until: ka_os_milliseconds() &+ HeapState.longestPurge))
  }

  /// The bytes of a heap that is large enough: a smaller one gains less than the flushes of all CPUs cost.
  private static var leastPurged: Int { 48 << 20 }

  /// The milliseconds after which a purge in passing leaves the rest to the next.
  private static var longestPurge: UInt64 { 20 }

  /// Gives back the pages that no object uses of all slabs that are at least half free, until the time is over. Returns the frames.
  func purgeSlabs(within time: PurgeTime = .unlimited) -> Int {
    var time = time
    var released = 0
    for node in 0..<nodeCount {
      var regions = pages(NodeIndex(node)).regions
      while let region = regions.next() {
        released &+= SlabTable(of: region).purge(within: &time) { ended($0, on: region) }
      }
    }
    return released
  }
}
