extension PageRegion {
  /// Allocates exactly these frames, or none.
  ///
  /// - Returns: false where a frame of them is not free, is outside the region, or cannot be committed.
  /// - Complexity: O(rows).
  ///
  /// Concurrent. Lock-free.
  public func allocate(at first: FrameIndex, frames: Int, flags: AllocFlags = []) -> Bool {
    guard spans(first.rawValue, frames), charge(frames, flags) else { return false }
    if takeExact(first.rawValue..<first.rawValue + frames, growing: true) == .taken { return true }
    uncharge(frames)
    return false
  }

  /// Makes a run longer where it stands.
  ///
  /// - Parameters:
  ///   - first: the run's first frame.
  ///   - frames: its length.
  ///   - more: how many frames longer, at least 1.
  /// - Returns: false where the frames behind it are not all free; the run is then as it was.
  ///
  /// Concurrent. Lock-free.
  public func extend(_ first: FrameIndex, frames: Int, by more: Int, flags: AllocFlags = []) -> Bool {
    guard spans(first.rawValue, frames) else { return false }
    return allocate(at: first.advanced(by: frames), frames: more, flags: flags)
  }

  /// Frees a run, or any part of one.
  ///
  /// - Parameter touched: false where nobody has written to it since it was taken: what was clean stays so.
  /// - Returns: false where a frame of it was not allocated, or lies outside the region: a double free or a foreign
  ///   one, which the caller must treat as a broken program. Frames outside are not touched at all. Of the others,
  ///   those that were allocated are now free and those that were free still are: the region stays consistent, but
  ///   a frame that somebody else had allocated meanwhile has been taken from him.
  /// - Complexity: O(rows). Wait-free.
  ///
  /// Concurrent.
  ///
  /// > Safety: the caller owns the frames, and nobody uses them any more.
  public func free(_ first: FrameIndex, frames: Int, touched: Bool = true) -> Bool {
    guard spans(first.rawValue, frames) else { return false }
    let freed = release(first.rawValue..<first.rawValue + frames, dirty: touched)
    uncharge(freed)
    return freed == frames
  }

  /// Whether these frames, which the caller owns, are as the operating system gave them: zero.
  ///
  /// Always false for a `.given` region. A frame is clean from its commitment, or its purge, to its first free.
  public func isClean(_ first: FrameIndex, frames: Int) -> Bool {
    guard isReserved, spans(first.rawValue, frames) else { return false }
    let range = first.rawValue..<first.rawValue + frames
    var row = range.lowerBound & ~(Frames.perRow - 1)
    while row < range.upperBound {
      // Relaxed: taking the frame was an acquire that follows its last marking or cleaning (A).
      if dirtyWord(row / Frames.perRow).loadRelaxed() & Self.mask(range, row: row) != 0 { return false }
      row += Frames.perRow
    }
    return true
  }
}
