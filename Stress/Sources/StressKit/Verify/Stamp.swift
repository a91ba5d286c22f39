// The content of a block: written when the block is given out, checked before it goes back.
//
// Word i of a block holds mix(stamp, i), where the stamp is made of the run's seed, the block's address, its size and a
// serial number. So two blocks never have the same content, and a block that is given out twice carries the content
// of its second owner when the first one looks. What is written depends on the offset alone, so that the part that
// survives a reallocation can be checked with the old stamp:
//
//   offset 0 ..< 1024            every byte
//   beyond                       the first 64 bytes of every 512
//   the last 64 bytes            every byte
//
// The gaps keep large blocks cheap. That two blocks share bytes is found exactly, gaps or not, by the `ShadowMap`.

enum Stamp {
  static let dense = 1024
  static let stripe = 64
  static let pitch = 512

  static func make(seed: UInt64, address: UInt, size: Int, serial: UInt64) -> UInt64 {
    var value = seed ^ UInt64(address) &* 0x9E37_79B9_7F4A_7C15
    value ^= UInt64(truncatingIfNeeded: size) &* 0xC2B2_AE3D_27D4_EB4F ^ serial &* 0x1656_67B1_9E37_79F9
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }

  @inline(__always)
  private static func word(_ stamp: UInt64, _ offset: Int) -> UInt64 {
    stamp ^ (UInt64(truncatingIfNeeded: offset) &* 0x2545_F491_4F6C_DD1D)
  }

  /// Fills `size` bytes at `block`.
  static func write(_ stamp: UInt64, to block: UnsafeMutableRawPointer, size: Int) {
    forEachRange(size) { write(stamp, to: block, from: $0, to: $1) }
  }

  /// Bytes looked at by a check of `size` bytes.
  static func checkedBytes(size: Int) -> Int {
    var total = 0
    forEachRange(size) { total += $1 - $0 }
    return total
  }

  /// The offset of the first wrong byte, or `nil`. `whole` where the block still ends at `size`, so that its last bytes count.
  static func firstWrongByte(_ stamp: UInt64, in block: UnsafeRawPointer, size: Int, whole: Bool = true) -> Int? {
    var wrong: Int?
    forEachRange(size, whole: whole) { start, end in
      if wrong == nil { wrong = firstWrongByte(stamp, in: block, from: start, to: end) }
    }
    return wrong
  }

  @inline(__always)
  private static func forEachRange(_ size: Int, whole: Bool = true, _ body: (Int, Int) -> Void) {
    body(0, min(size, dense))
    guard size > dense else { return }
    var start = dense
    while start < size {
      body(start, min(start + stripe, size))
      start += pitch
    }
    if whole { body(max(dense, (size - stripe) & ~7), size) }
  }

  @inline(__always)
  private static func write(_ stamp: UInt64, to block: UnsafeMutableRawPointer, from start: Int, to end: Int) {
    var offset = start
    while offset + 8 <= end {
      block.storeBytes(of: word(stamp, offset), toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    while offset < end {
      block.storeBytes(of: byte(stamp, offset), toByteOffset: offset, as: UInt8.self)
      offset += 1
    }
  }

  @inline(__always)
  private static func firstWrongByte(_ stamp: UInt64, in block: UnsafeRawPointer, from start: Int, to end: Int) -> Int?
  {
    var offset = start
    while offset + 8 <= end {
      let difference = block.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ word(stamp, offset)
      if difference != 0 { return offset + difference.trailingZeroBitCount / 8 }
      offset += 8
    }
    while offset < end {
      if block.load(fromByteOffset: offset, as: UInt8.self) != byte(stamp, offset) { return offset }
      offset += 1
    }
    return nil
  }

  /// Byte `offset` of the little-endian words.
  @inline(__always)
  private static func byte(_ stamp: UInt64, _ offset: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: word(stamp, offset & ~7) >> (UInt64(offset & 7) &* 8))
  }
}
