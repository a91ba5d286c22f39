/// Which sizes and alignments a scenario asks for.
struct SizeMix: Sendable {
  struct Request: Equatable, Sendable {
    var size: Int
    var alignment: Int
    var zeroed: Bool
  }

  /// Of 256 requests: how many come from each range of sizes; the rest are up to `small`.
  var large = 2
  var medium = 22
  var smallLimit = 512
  var mediumLimit = 32 * 1024
  var largeLimit = 1 << 20
  /// One request in this many asks for more than 16-byte alignment, one for zeroed memory.
  var alignedOnceIn = 16
  var zeroedOnceIn = 16

  /// As programs are: mostly small, a tail to 1 MiB.
  static let mixed = SizeMix()
  /// What the size classes serve, with hardly a page run between.
  static let small = SizeMix(large: 0, medium: 8, mediumLimit: 4096)

  /// Four draws, always.
  func draw(_ random: inout RandomSource) -> Request {
    let range = random.below(256)
    let place = random.next()
    let alignedDraw = random.next()
    let zeroedDraw = random.below(zeroedOnceIn)
    let size: Int
    if range < large {
      size = Self.logarithmic(place, from: mediumLimit, to: largeLimit)
    } else if range < large + medium {
      size = Self.logarithmic(place, from: smallLimit, to: mediumLimit)
    } else {
      size = 1 + Int(place >> 16 & 0xFFFF_FFFF) % smallLimit
    }
    var alignment = 16
    if Int(alignedDraw & 0xFFFF) % alignedOnceIn == 0 { alignment = 1 << ((Int(alignedDraw >> 16) & 0xFFFF) % 14) }
    return Request(size: size, alignment: alignment, zeroed: zeroedDraw == 0)
  }

  /// Each doubling as likely as the next, and any size in it.
  static func logarithmic(_ bits: UInt64, from low: Int, to high: Int) -> Int {
    var doublings = 0
    while low << (doublings + 1) <= high { doublings += 1 }
    let base = low << (Int(bits & 0xFF) % max(1, doublings))
    return base + 1 + Int(bits >> 8 & 0xFFFF_FFFF) % base
  }
}
