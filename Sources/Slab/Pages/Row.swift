/// The lowest level: which of 64 neighbouring frames are allocated. Bit i is frame i of the row; 1 is allocated.
///
/// A value. The shared word that holds it changes by the transitions below; nil means "not from here".
/// Coalescing is implicit: a run is free when its bits are 0, however the frames came to be free.
struct Row: Equatable {
  var bits: UInt64

  @inline(__always)
  init(bits: UInt64) { self.bits = bits }

  /// Bits 0 ..< count.
  @inline(__always)
  static func mask(_ count: Int) -> UInt64 { count >= 64 ? ~0 : (1 << UInt64(count)) &- 1 }

  /// Bits start ..< start + count, all inside the row.
  @inline(__always)
  static func mask(from start: Int, count: Int) -> UInt64 { mask(count) << UInt64(start) }

  /// The positions that are multiples of `alignment`, a power of two up to 64.
  @inline(__always)
  static func starts(alignment: Int) -> UInt64 { alignment >= 64 ? 1 : ~0 / mask(alignment) }

  /// The positions at which `count` frames are free, `count` in 1 ... 64.
  ///
  /// Doubling: after a step the bit i says that frames i ..< i + length are free. Zeros shifted in from the top
  /// keep a run from leaving the row.
  @inline(__always)
  func runs(of count: Int) -> UInt64 {
    var starts = ~bits
    var length = 1
    while length < count {
      let step = Swift.min(length, count - length)
      starts &= starts >> UInt64(step)
      length += step
    }
    return starts
  }

  /// The lowest position of `count` free frames at a multiple of `alignment`; nil where there is none.
  @inline(__always)
  func position(of count: Int, alignment: Int) -> Int? {
    let found = runs(of: count) & Row.starts(alignment: alignment)
    return found == 0 ? nil : found.trailingZeroBitCount
  }

  /// Frames in free runs of exactly `order` or more, order 0 ... 6: each aligned run that is wholly free, whole.
  @inline(__always)
  func chunks(order: Int) -> UInt64 {
    let starts = runs(of: 1 << order) & Row.starts(alignment: 1 << order)
    // The starts lie 2^order apart: the product repeats each 2^order times, without carries.
    return starts &* Row.mask(1 << order)
  }

  /// The highest order with a free aligned run; nil where no frame is free.
  @inline(__always)
  var largestOrder: Int? {
    var starts = ~bits
    if starts == 0 { return nil }
    var order = 0
    while order < 6 {
      let length = 1 << order
      starts &= (starts >> UInt64(length)) & Row.starts(alignment: 2 * length)
      if starts == 0 { return order }
      order += 1
    }
    return order
  }

  /// Allocates `mask`; nil where a frame of it is allocated already.
  @inline(__always)
  func taking(_ mask: UInt64) -> Row? { bits & mask == 0 ? Row(bits: bits | mask) : nil }

  /// Frees `mask`; nil where a frame of it is free already.
  @inline(__always)
  func freeing(_ mask: UInt64) -> Row? { bits & mask == mask ? Row(bits: bits & ~mask) : nil }

  /// The lowest free runs of `order`, together at most `limit` frames; 0 where there is none.
  @inline(__always)
  func lowestChunks(order: Int, limit: Int) -> UInt64 {
    var found = chunks(order: order)
    while found.nonzeroBitCount > limit {
      let highest = 63 - found.leadingZeroBitCount
      found &= ~Row.mask(from: (highest >> order) << order, count: 1 << order)
    }
    return found
  }
}
