// The watermark: the last frames of a region are for callers that may not fail lightly.
//
// Only where `reserveFrames` > 0 is there a counter of frames that may still be had (absent ones included). An
// allocation charges it before it looks, and a free adds what it freed. Relaxed throughout: the counter decides who may
// look, and publishes nothing.

extension PageRegion {
  /// Charges `frames`, or nothing.
  @inline(__always)
  func charge(_ frames: Int, _ flags: AllocFlags) -> Bool {
    reserveFrames == 0 || charge(upTo: frames, unit: frames, flags) == frames
  }

  /// Charges the largest multiple of `unit` up to `frames` that the watermark allows.
  func charge(upTo frames: Int, unit: Int, _ flags: AllocFlags) -> Int {
    if reserveFrames == 0 { return frames }
    let floor = flags.contains(.useReserve) ? 0 : reserveFrames
    let word = availableWord
    var found = word.loadRelaxed()
    while true {
      let left = Swift.max(0, Int(truncatingIfNeeded: found) - floor)
      let charged = Swift.min(frames, left) / unit * unit
      if charged == 0 { return 0 }
      let seen = word.compareExchangeRelaxed(found, found - UInt64(charged))
      if seen == found { return charged }
      found = seen
    }
  }

  @inline(__always)
  func uncharge(_ frames: Int) {
    if reserveFrames > 0 && frames > 0 { _ = availableWord.fetchAddRelaxed(UInt64(frames)) }
  }
}
