import CMalloc
import Slab

/// Allocations that fail because the environment says so.
enum Faults {
  private static nonisolated(unsafe) var counted: UInt64 = 0
  private static nonisolated(unsafe) var failed: UInt64 = 0

  @inline(__always)
  static var areArmed: Bool { unsafe options.injectsFaults }

  /// Counts an allocation, and says whether it is to fail. Relaxed: the counters publish nothing.
  @inline(never)
  static func fail(_ size: Int) -> Bool {
    if unsafe size < options.failMinimum { return false }
    let number = unsafe Int(AtomicWord(&counted).fetchAddRelaxed(1)) + 1
    let every = unsafe options.failEvery
    let after = unsafe options.failAfter
    guard every > 0 && number % every == 0 || after > 0 && number > after else { return false }
    return unsafe Int(AtomicWord(&failed).fetchAddRelaxed(1)) < options.failTimes
  }
}
