// The thread that KALLOC_BACKGROUND=1 asks for. All that it does happens without it, too, in passing, while a program allocates and
// frees: it is for programs that rest with much memory behind them.
//
// Each second it empties the caches of CPUs that stood still and gives back what has been free for a second. Where everything
// stands still it empties what all CPUs share as well, once, and then looks less and less often, every 16 s at last.

import CMalloc
import Slab

enum Background {
  /// Whether the environment asks for it: 1. Reports what is neither 1 nor 0. Once, before `main`.
  static func isWanted() -> Bool {
    guard let text = unsafe km_environment("KALLOC_BACKGROUND"), unsafe text[0] != 0 else { return false }
    if unsafe text[1] == 0 && (text[0] == 0x30 || text[0] == 0x31) { return unsafe text[0] == 0x31 }
    unsafe Options.report("KALLOC_BACKGROUND", text, "it is 0 or 1")
    return false
  }
}

/// The thread's life: as long as the process's.
@c(km_background)
public func background() {
  let heap = Heap.global
  var pause: UInt64 = 1000
  var isEmpty = false
  while true {
    km_sleep(pause)
    // Less than the pause: the clock's ticks are 4 ms apart.
    if !heap.drainIdle(olderThan: 900) {
      isEmpty = false
    } else if !isEmpty {
      heap.drain()
      isEmpty = true
    }
    let released = heap.purge(upTo: .max, olderThan: 1000)
    pause = isEmpty && released == 0 ? min(pause * 2, 16_000) : 1000
  }
}
