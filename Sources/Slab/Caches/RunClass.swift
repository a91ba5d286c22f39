// Lengths of large blocks: 9 to 16 frames, then eight lengths for each doubling, up to 1 MiB.
//
//     index    0   1   2 …   7 |   8   9 …  15 |  16 …  |  39
//     frames   9  10  11 …  16 |  18  20 …  32 |  36 …  | 256
//
// A block of such a length has a stack of its CPU when it is freed, and the next one that is asked for is it: no claim of a
// run, no system call. At most an eighth of a block is not asked for; what is never touched of it takes no memory.

import KAllocAtomics

/// One of the lengths that large blocks of up to 1 MiB have. One word wide.
struct RunClass: Equatable {
  let index: Int

  static var count: Int { 40 }
  static var maximumFrames: Int { 256 }
  static var maximumBytes: Int { maximumFrames &<< Frames.usualShift }

  init(index: Int) { self.index = index }

  /// The shortest that holds `frames`; `nil`: they are too few, so that a size class serves, or too many. O(1).
  init?(holding frames: Int) {
    let stack = ka_run_holding(UInt64(bitPattern: Int64(truncatingIfNeeded: (frames &- 1) &<< Frames.usualShift)))
    if stack == 0 { return nil }
    index =
      (Int(truncatingIfNeeded: stack) &- Int(KA_STACKS_OFFSET)) / Int(KA_STACK_BYTES) &- SizeClass.count
      &- StackIndex.pageOrders
  }

  /// The one of `frames`; `nil`: no length is. O(1).
  init?(exactly frames: Int) {
    self.init(holding: frames)
    if self.frames != frames { return nil }
  }

  /// The length of a block.
  var frames: Int { (9 &+ index & 7) &<< (index &>> 3) }

  /// What a free without a size reads of this length. Only the frame at the head has its owner byte, so that an offset in the
  /// frame is one in the block.
  var entry: ka_class {
    ka_class(
      mask: UInt64(Frames.bytes - 1), reciprocal: UInt64.max / UInt64(Frames.bytes) + 1,
      bytes: UInt64(frames &<< Frames.usualShift), unused: 0)
  }
}
