// Bytes committed, and the limit on them.
//
// `committed` counts what the page level has handed out: slabs, large runs, pages on the stacks, direct mappings. It is
// raised by compare-exchange before frames are taken, so that it never exceeds the limit, and lowered after they are
// given back. All relaxed: the word publishes nothing.

import KAllocAtomics

extension HeapState {
  /// Counts `bytes` as committed; false where the limit does not allow it.
  func charge(_ bytes: Int) -> Bool {
    let word = control(.committed)
    let limit = control(.limit).loadRelaxed()
    let amount = UInt64(truncatingIfNeeded: bytes)
    var found = word.loadRelaxed()
    while found &+ amount <= limit {
      let seen = word.compareExchangeRelaxed(found, found &+ amount)
      if seen == found {
        raise(.peak, to: found &+ amount)
        raise(.backed, to: found &+ amount)
        return true
      }
      found = seen
    }
    return false
  }

  /// Uncharges bytes that have no memory behind them: they could not be taken after all, or are unmapped.
  func uncharge(_ bytes: Int) {
    lowerCommitted(bytes)
    unback(bytes)
  }

  /// Uncharges frames that are free now. Who has freed them calls `purgeInPassing` when nothing else is left to do: it may go deep,
  /// and the stack may be a signal handler's.
  func uncharge(frames: Int) { lowerCommitted(frames &* Frames.bytes) }

  private func lowerCommitted(_ bytes: Int) {
    _ = control(.committed).fetchSubtractRelaxed(UInt64(truncatingIfNeeded: bytes))
  }

  /// `bytes` have no memory behind them any more. The estimate stays at what is committed, at least: it may be too low.
  func unback(_ bytes: Int) {
    let word = control(.backed)
    var found = word.loadRelaxed()
    while true {
      let floor = min(found, control(.committed).loadRelaxed())
      let left = found &- min(UInt64(truncatingIfNeeded: bytes), found &- floor)
      if left == found { return }
      let seen = word.compareExchangeRelaxed(found, left)
      if seen == found { return }
      found = seen
    }
  }

  private func raise(_ control: Control, to bytes: UInt64) {
    let word = self.control(control)
    var found = word.loadRelaxed()
    while found < bytes {
      let seen = word.compareExchangeRelaxed(found, bytes)
      if seen == found { return }
      found = seen
    }
  }

  /// Frames of a region that a caller owns.
  struct Run {
    let pages: PageRegion
    let first: FrameIndex
  }

  /// A run of frames from `node`, or from the nearest node that has one unless `flags` say `thisNode`. Charged.
  ///
  /// - Parameters:
  ///   - frames, alignment: in frames; the alignment is a power of two.
  func takeRun(frames: Int, alignment: Int, flags: AllocFlags, from node: NodeIndex) -> Result<Run, AllocError> {
    guard charge(frames &* Frames.bytes) else { return .failure(.limitExceeded) }
    let ranks = flags.contains(.thisNode) ? 1 : nodeCount
    for rank in 0..<ranks {
      let source = self.node(rank, from: node)
      if let (pages, first) = pages(source).allocate(frames: frames, alignment: alignment, flags: flags) {
        let run = Run(pages: pages, first: first)
        return .success(preferTouched(run, frames: frames, alignment: alignment, flags: flags, on: source))
      }
    }
    uncharge(frames &* Frames.bytes)
    return .failure(flags.contains(.thisNode) && nodeCount > 1 ? .nodeUnavailable : .outOfMemory)
  }

  /// `run`, or where that was never touched another of `node` that was, after the large blocks on this CPU's stacks have gone back,
  /// which are of its own node.
  private func preferTouched(
    _ run: Run, frames: Int, alignment: Int, flags: AllocFlags, on node: NodeIndex
  ) -> Run {
    guard flags.contains(.reclaim), node == localNode, run.pages.isClean(run.first, frames: frames),
      returnOwnRuns(atLeast: max(frames &* Frames.bytes, HeapState.leastReturned)),
      let (pages, first) = pages(node).allocate(frames: frames, alignment: alignment, flags: flags)
    else { return run }
    let other = Run(pages: pages, first: first)
    let (given, kept) = pages.isClean(first, frames: frames) ? (other, run) : (run, other)
    if !given.pages.free(given.first, frames: frames, touched: false) {
      Misuse.metadata.trap(at: given.pages.addressBits(of: given.first))
    }
    return kept
  }

  /// The bytes of large blocks that are worth going back, so that one which is used now and then stays where a heap grows.
  private static var leastReturned: Int { 256 << 10 }

  /// Gives frames back and uncharges them. Traps where one of them is free already.
  func giveRun(_ pages: PageRegion, _ first: FrameIndex, frames: Int) {
    if !pages.free(first, frames: frames) {
      Misuse.doubleFree.trap(at: pages.addressBits(of: first))
    }
    uncharge(frames: frames)
  }
}
