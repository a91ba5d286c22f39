import KAllocAtomics

/// How a slab of one size class is cut: how many frames it has, how many objects, and which object an address is in.
///
/// A slab is a power-of-two run of frames, naturally aligned, so that an address leads to its slab by masking.
struct SlabGeometry {
  let sizeClass: SizeClass
  /// Bytes in an object.
  let objectBytes: Int
  /// Frames in a slab; a power of two.
  let frames: Int
  /// Objects in a slab. What is left behind the last one, at most 1/16 of the slab, stays unused.
  let objects: Int
  /// 2^40 / objectBytes, rounded up: multiplication by it divides any offset in a slab exactly (offsets are below 2^18
  /// and sizes below 2^16, so the rounding error stays under one part in 2^22).
  private let reciprocal: UInt64

  /// The bytes that a slab has at least, so that one refill of small objects is one slab.
  private static let minimumBytes = 16384
  /// The objects that a slab has at least.
  private static let minimumObjects = 8

  init(_ sizeClass: SizeClass) {
    self.sizeClass = sizeClass
    objectBytes = sizeClass.bytes
    var bytes = SlabGeometry.minimumBytes
    while bytes / objectBytes < SlabGeometry.minimumObjects || bytes % objectBytes > bytes / 16 { bytes *= 2 }
    frames = bytes >> Frames.usualShift
    objects = bytes / objectBytes
    reciprocal = ((1 << 40) + UInt64(objectBytes) - 1) / UInt64(objectBytes)
  }

  /// What a free without a size reads of this class. An offset behind the last object passes its test; it is found when
  /// the address leaves the CPU's stack.
  var entry: ka_class {
    ka_class(
      mask: UInt64(frames * Frames.bytes - 1), reciprocal: UInt64.max / UInt64(objectBytes) + 1,
      bytes: UInt64(objectBytes), unused: 0)
  }

  /// The words in the bitmap of a slab.
  var words: Int { (objects + 63) / 64 }

  /// Whether a purge looks for free pages in a slab with so many free objects: where at least half of it is free. One that is wholly
  /// free is kept, or about to end. Objects below 64 bytes, in longer bitmaps than a purge has room for, seldom leave a page free.
  func isPurged(free: Int) -> Bool { words <= 4 && free &* 2 >= objects && free < objects }

  /// Whether half of the slab's words are left for labels: in all classes but the smallest.
  var hasLabels: Bool { sizeClass.index > 0 }

  /// The object that begins at `offset` in the slab; `nil` where none does.
  @inline(__always)
  func object(at offset: Int) -> Int? {
    let index = Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: offset) &* reciprocal) &>> 40)
    return index &* objectBytes == offset && index < objects ? index : nil
  }

  /// How many of the first `count` addresses begin an object of this class in the region whose frame 0 is at `origin`, one
  /// that its slab does not have, up to the first that does not. The hot part of every flush: all that is constant is outside
  /// the loop.
  ///
  /// > Safety: `addresses` holds `count` addresses; `owners` has a byte, and `bits` its words, for each of the
  /// > `bytes` / 4096 frames.
  @unsafe @inline(__always)
  func objects(
    in addresses: UnsafeMutablePointer<UInt64>, count: Int, origin: UInt64, bytes: UInt64,
    owners: UnsafeMutablePointer<UInt8>, bits: WordArray
  ) -> Int {
    let owner = UInt8(truncatingIfNeeded: sizeClass.index &+ 1)
    let mask = UInt64(truncatingIfNeeded: frames &* Frames.bytes &- 1)
    for index in 0..<count {
      let offset = unsafe addresses[index] &- origin
      // Relaxed: the object is out, so its slab's owner bytes do not change, and whoever gave it out has cleared its bit.
      guard offset < bytes,
        unsafe ka_u8_load_relaxed(owners + Int(truncatingIfNeeded: offset &>> 12)) == owner,
        let object = object(at: Int(truncatingIfNeeded: offset & mask))
      else { return index }
      let word = Int(truncatingIfNeeded: (offset & ~mask) &>> 12) &* SlabTable.bitWordsPerFrame &+ object &>> 6
      if bits[word].loadRelaxed() &>> UInt64(truncatingIfNeeded: object & 63) & 1 != 0 { return index }
    }
    return count
  }

  /// Word `word` of the bitmap of a slab whose objects are all free.
  func freshWord(_ word: Int) -> UInt64 {
    let left = objects - word * 64
    return left >= 64 ? ~0 : left <= 0 ? 0 : 1 << UInt64(left) - 1
  }
}

extension Frames {
  /// Bytes in a frame of 4 KiB, the only size that slabs are cut from.
  static var bytes: Int { 1 << usualShift }
}

extension PageRegion {
  /// The address of a usable frame as a number.
  @inline(__always)
  func addressBits(of frame: FrameIndex) -> UInt64 { unsafe UInt64(UInt(bitPattern: address(of: frame))) }
}
