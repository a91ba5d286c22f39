/// The state of a frame that heads a slab or a large run, as one shared word, and its transitions.
///
///     bits 0…15    free objects that nobody has reserved
///     bits 16…23   0: heads nothing   1…40: class index + 1   254: a large run ended here   255: a large run
///     bits 32…63   frames of a large run
///
/// A slab's objects are taken in two steps: `reserving` lowers the count, then the bits are taken; they are returned
/// in the opposite order: bits, then `returning`. So the bits set are never fewer than the count plus what is reserved,
/// and a count equal to the capacity means that nobody holds, takes or returns any object: `retiring` may then end the
/// slab.
struct SlabWord: Equatable {
  var bits: UInt64

  init(bits: UInt64) { self.bits = bits }

  /// A slab of `sizeClass` with `free` objects to take.
  init(_ sizeClass: SizeClass, free: Int) {
    bits = UInt64(truncatingIfNeeded: free) | UInt64(truncatingIfNeeded: sizeClass.index &+ 1) &<< 16
  }

  /// A large run of `frames`.
  init(runOf frames: Int) { bits = UInt64(truncatingIfNeeded: frames) &<< 32 | 255 &<< 16 }

  /// What a large run leaves behind, until something else begins at its frame: a second free is known by it.
  static var endedRun: SlabWord { SlabWord(bits: 254 << 16) }

  /// A frame that heads neither.
  static var none: SlabWord { SlabWord(bits: 0) }

  var free: Int { Int(truncatingIfNeeded: bits & 0xffff) }

  var sizeClass: SizeClass? {
    let field = Int(truncatingIfNeeded: bits &>> 16 & 0xff)
    return field == 0 || field > SizeClass.count ? nil : SizeClass(index: field &- 1)
  }

  /// The frames of the large run that begins here.
  var runFrames: Int? { bits &>> 16 & 0xff == 255 ? Int(truncatingIfNeeded: bits &>> 32) : nil }

  private func isSlab(of sizeClass: SizeClass) -> Bool {
    bits &>> 16 == UInt64(truncatingIfNeeded: sizeClass.index &+ 1)
  }

  /// `count` objects promised to the caller. `nil`: not a slab of this class, or too few are free.
  func reserving(_ count: Int, of sizeClass: SizeClass) -> SlabWord? {
    guard isSlab(of: sizeClass), count > 0, free >= count else { return nil }
    return SlabWord(bits: bits &- UInt64(truncatingIfNeeded: count))
  }

  /// The slab ended. `nil`: not a slab of this class, or some object is out.
  func retiring(_ sizeClass: SizeClass, objects: Int) -> SlabWord? {
    guard isSlab(of: sizeClass), free == objects else { return nil }
    return SlabWord.none
  }
}
