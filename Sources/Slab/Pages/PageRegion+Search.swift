// Looking for free runs without touching anything. Every load is relaxed: what is found is a guess, which taking it
// verifies by compare-exchange.

extension PageRegion {
  /// The first frame from `frame` on whose address is a multiple of `alignment` frames.
  @inline(__always)
  func align(_ frame: Int, _ alignment: Int) -> Int {
    // A block begins at a multiple of 512 frames, so up to there frame numbers are as good as addresses.
    let before = Int(truncatingIfNeeded: origin >> UInt(frameShift))
    return ((before + frame + alignment - 1) & ~(alignment - 1)) - before
  }

  /// Whether so many adjacent frames at that alignment lie in the region, free or not.
  func couldHold(frames: Int, alignment: Int) -> Bool {
    frames <= frameCount && align(head, alignment) <= limit - frames
  }

  /// The first free frame in `range`; `absent` blocks count as free or as taken.
  func firstFree(in range: Range<Int>, absent: Bool) -> Int? {
    var frame = range.lowerBound
    while frame < range.upperBound {
      let block = frame / Frames.perBlock
      let end = Swift.min(range.upperBound, (block + 1) * Frames.perBlock)
      let word = state(block)
      if word.isAbsent && absent { return frame }
      if word.isPresent && word.free > 0 {
        while frame < end {
          let free = ~row(frame / Frames.perRow).bits & (~0 << UInt64(frame & 63))
          if free != 0 {
            let found = (frame & ~63) + free.trailingZeroBitCount
            return found < range.upperBound ? found : nil
          }
          frame = (frame & ~63) + Frames.perRow
        }
      }
      frame = end
    }
    return nil
  }

  /// The first frame of `range` that is not free; nil where all are.
  func firstTaken(in range: Range<Int>, absent: Bool) -> Int? {
    var frame = range.lowerBound
    while frame < range.upperBound {
      let block = frame / Frames.perBlock
      let end = Swift.min(range.upperBound, (block + 1) * Frames.perBlock)
      let word = state(block)
      if word.isAbsent ? !absent : !word.isPresent { return frame }
      if word.isPresent && word.free < Frames.perBlock {
        // The number decides only for a whole block: frames that others have reserved may come to nothing, and the
        // caller learns that from the reservation that it loses.
        if end - frame == Frames.perBlock { return frame }
        while frame < end {
          let taken = row(frame / Frames.perRow).bits & (~0 << UInt64(frame & 63))
          if taken != 0 {
            let found = (frame & ~63) + taken.trailingZeroBitCount
            if found < end { return found }
            break
          }
          frame = (frame & ~63) + Frames.perRow
        }
      }
      frame = end
    }
    return nil
  }

  /// The lowest run of `frames` free frames in `range` at a multiple of `alignment`.
  func firstRun(of frames: Int, alignment: Int, in range: Range<Int>, absent: Bool) -> Int? {
    if frames >= Frames.perBlock {
      return firstLongRun(of: frames, alignment: alignment, in: range, absent: absent)
    }
    var from = range.lowerBound
    while from < range.upperBound {
      // Where only block boundaries will do, the word of the block there says enough.
      let free =
        alignment >= Frames.perBlock ? from : firstFree(in: from..<range.upperBound, absent: absent)
      guard let free else { return nil }
      let first = align(free, alignment)
      guard first <= range.upperBound - frames else { return nil }
      guard let taken = firstTaken(in: first..<first + frames, absent: absent) else { return first }
      from = taken + 1
    }
    return nil
  }
}
