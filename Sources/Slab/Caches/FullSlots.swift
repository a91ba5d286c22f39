/// The slots of a depot that are full, and which of them have rested, as one shared word and its transitions.
///
///     bits 0…31    full
///     bits 32…63   of those, which were full at the last look and have not been taken since
struct FullSlots: Equatable {
  var bits: UInt64

  @inline(__always)
  init(bits: UInt64) { self.bits = bits }

  static var every: UInt64 { Row.mask(StackInfo.depotSlots) }

  @inline(__always) var full: UInt64 { bits & FullSlots.every }
  var rested: UInt64 { bits &>> 32 }

  /// The bit of a slot and its mark.
  @inline(__always)
  static func withMark(_ bit: UInt64) -> UInt64 { bit | bit &<< 32 }

  /// All that are full have rested. `nil`: they have already.
  func resting() -> FullSlots? {
    full == rested ? nil : FullSlots(bits: FullSlots.withMark(full))
  }

  /// The lowest that has rested is taken. `nil`: none has.
  func takingRested() -> (FullSlots, slot: Int)? {
    if rested == 0 { return nil }
    let slot = rested.trailingZeroBitCount
    return (FullSlots(bits: bits & ~FullSlots.withMark(1 &<< UInt64(slot))), slot)
  }
}
