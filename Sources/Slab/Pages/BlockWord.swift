/// The middle level: what one block of 512 frames is, and how many of its frames may still be reserved.
///
///     absent ──claimed──▶ growing ──grown──▶ present(free: 0 ... 512)
///        ◀───abandoned──────┘
///
/// `free` counts down *before* bits of the rows are taken and up *after* they are cleared. So it never exceeds the
/// number of clear bits, and `free == 512` says that nobody holds, takes or returns a frame of the block.
/// A value; nil means "not from here". 0, which is what fresh metadata reads as, is an absent block.
struct BlockWord: Equatable {
  var bits: UInt32

  @inline(__always)
  init(bits: UInt32) { self.bits = bits }

  enum State: UInt32 {
    /// Address space only.
    case absent = 0
    /// One thread is making the memory usable; everybody else takes the block for full.
    case growing = 1
    case present = 2
  }

  private static let countMask: UInt32 = 0xffff
  private static let stateShift: UInt32 = 16

  @inline(__always)
  init(present free: Int) {
    bits = State.present.rawValue << Self.stateShift | UInt32(truncatingIfNeeded: free)
  }

  static var absent: BlockWord { BlockWord(bits: 0) }
  static var growing: BlockWord { BlockWord(bits: State.growing.rawValue << stateShift) }

  @inline(__always)
  var isAbsent: Bool { bits == 0 }
  @inline(__always)
  var isPresent: Bool { bits >> Self.stateShift == State.present.rawValue }
  /// Frames that may be reserved; 0 unless present.
  @inline(__always)
  var free: Int { Int(bits & Self.countMask) }

  /// Whether this bit pattern is one that the transitions can lead to.
  var isValid: Bool {
    isAbsent || self == .growing || (isPresent && free <= Frames.perBlock)
  }

  /// Reserves `frames`: the caller may now look for as many clear bits.
  @inline(__always)
  func reserving(_ frames: Int) -> BlockWord? {
    isPresent && free >= frames ? BlockWord(present: free - frames) : nil
  }

  /// Reserves the largest multiple of `unit` up to `frames`; nil where not even one unit is left.
  @inline(__always)
  func reserving(upTo frames: Int, unit: Int) -> BlockWord? {
    let count = Swift.min(free, frames) & ~(unit - 1)
    return isPresent && count > 0 ? BlockWord(present: free - count) : nil
  }

  /// Returns `frames` whose bits are clear. The shared word does this with one addition: it cannot fail.
  @inline(__always)
  func returning(_ frames: Int) -> BlockWord? {
    isPresent && free + frames <= Frames.perBlock ? BlockWord(present: free + frames) : nil
  }

  /// One thread takes it upon itself to make the block usable.
  @inline(__always)
  var claimed: BlockWord? { isAbsent ? .growing : nil }

  /// The operating system refused.
  @inline(__always)
  var abandoned: BlockWord? { self == .growing ? .absent : nil }

  /// The memory is there, and `free` of its frames are for everybody.
  @inline(__always)
  func grown(free: Int) -> BlockWord? {
    self == .growing && free <= Frames.perBlock ? BlockWord(present: free) : nil
  }
}
