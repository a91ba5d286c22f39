// Runs of a block and more: one look at each block.
//
// Such a run reaches the end of the block it begins in, so that of all that is free in a block only the frames behind the last
// taken one can begin it. A search that tried every free frame would look at every hole of every block, which with many blocks in
// use is all there is to do in a program that allocates megabytes. Relaxed throughout, as in PageRegion+Search.swift.

extension PageRegion {
  /// The lowest run of `frames` free frames, at least a block, in `range` at a multiple of `alignment`.
  func firstLongRun(of frames: Int, alignment: Int, in range: Range<Int>, absent: Bool) -> Int? {
    var block = range.lowerBound / Frames.perBlock
    while block * Frames.perBlock < range.upperBound {
      guard let suffix = freeSuffix(of: block, absent: absent) else {
        block += 1
        continue
      }
      let first = align(Swift.max(suffix, range.lowerBound), alignment)
      guard first <= range.upperBound - frames else { return nil }
      if first / Frames.perBlock > block {
        block = first / Frames.perBlock
        continue
      }
      guard let taken = firstTaken(in: first..<first + frames, absent: absent) else { return first }
      block = Swift.max(taken / Frames.perBlock, block + 1)
    }
    return nil
  }

  /// The first of the free frames that reach to the end of `block`; nil where its last frame is taken.
  private func freeSuffix(of block: Int, absent: Bool) -> Int? {
    let word = state(block)
    let first = block * Frames.perBlock
    if word.isAbsent { return absent ? first : nil }
    guard word.isPresent, word.free > 0 else { return nil }
    if word.free == Frames.perBlock { return first }
    for index in (0..<Frames.rowsPerBlock).reversed() {
      let bits = row(block * Frames.rowsPerBlock + index).bits
      if bits == 0 { continue }
      let behind = Frames.perRow - bits.leadingZeroBitCount
      return index == Frames.rowsPerBlock - 1 && behind == Frames.perRow
        ? nil : first + index * Frames.perRow + behind
    }
    return first
  }
}
