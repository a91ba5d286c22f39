// A sampled heap profile: which calls the memory in use came from, and all that was allocated.
//
// One allocation in `profile_period` bytes is sampled, at intervals that are exponentially distributed, so that no pattern of the
// program's falls into step with it: a block of s bytes is sampled with probability 1 - exp(-s / period). What is written is what
// was sampled; `pprof` scales it by that probability, which it reads from the first line (heap_v2).
//
//     an allocation ─ bytes until the next sample are used up ─▶ stack ─▶ its entry's counts, and the block's address
//     a free ─ the address is known ─▶ the entry's counts
//
// A profile implies the mode `thread`, in which every call takes the slow half: a program without one pays nothing for it.
//
// The tables have a fixed size, 10 MiB of address space, and are never locked. A stack that finds no entry, and a block that finds
// no place, is counted as lost.
//
// The format is that of gperftools ("Gperftools Heap Profiler"); the addresses are made names of by pprof, from the map at the end.

import CMalloc
import Slab

enum Profile {
  /// The addresses of sampled blocks: eight in a cache line, found by a hash; the entry and the size of each beside them.
  private static let buckets = 1 << 14
  private static let places = 8

  private static var bytes: Int { Stacks.bytes + buckets * places * 16 }

  private static nonisolated(unsafe) var tables: UInt64 = 0
  private static nonisolated(unsafe) var lost: UInt64 = 0
  private static nonisolated(unsafe) var period = 1

  @inline(__always)
  static var isOn: Bool { unsafe options.profiles }

  /// Makes the tables; false: there is no memory for them. Threads that are first together agree on one of them.
  static func begin(period: Int) -> Bool {
    let word = unsafe AtomicWord(&tables)
    if word.loadRelaxed() != 0 { return true }
    guard let mine = unsafe km_map(bytes) else { return false }
    unsafe Profile.period = period
    // Relaxed: `Start.word` publishes it. All of it is zero.
    if word.compareExchangeRelaxed(0, UInt64(UInt(bitPattern: mine))) != 0 { unsafe km_unmap(mine, bytes) }
    return true
  }

  private static var base: UnsafeMutableRawPointer {
    // SAFETY: `begin` was successful before `isOn`.
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(AtomicWord(&tables).loadRelaxed())).unsafelyUnwrapped
  }

  static var stacks: Stacks { unsafe Stacks(base) }

  /// The first of the places that `address` may be in, and where the values of those places are.
  private static func bucket(_ address: UInt) -> (addresses: UnsafeMutablePointer<UInt64>, values: Int) {
    let hash = (UInt64(address) &>> 4) &* 0x9e37_79b9_7f4a_7c15
    let first = Int(truncatingIfNeeded: hash &>> 50) &* places
    return unsafe ((base + Stacks.bytes).assumingMemoryBound(to: UInt64.self) + first, buckets * places)
  }

  // MARK: Samples

  /// Counts an allocation, and samples it where its turn has come.
  @inline(never)
  static func allocated(_ block: UnsafeMutableRawPointer, _ size: Int) {
    // SAFETY: this thread's own; a handler that comes in between finds `busy`, or one interval more or less.
    let thread = unsafe km_thread_samples()
    if unsafe thread.pointee.busy { return }
    unsafe thread.pointee.left -= Int64(max(size, 1))
    if unsafe thread.pointee.left > 0 { return }
    unsafe thread.pointee.busy = true
    let isFirst = unsafe thread.pointee.random == 0
    if isFirst { unsafe thread.pointee.random = km_random() | 1 }
    // A thread's first allocation only begins the count, unless all are sampled.
    if unsafe isFirst && period > 1 {
      unsafe thread.pointee.left = interval(&thread.pointee.random) - Int64(max(size, 1))
    }
    if unsafe thread.pointee.left <= 0 {
      unsafe thread.pointee.left = interval(&thread.pointee.random)
      unsafe sample(block, size)
    }
    unsafe thread.pointee.busy = false
  }

  @unsafe
  private static func sample(_ block: UnsafeMutableRawPointer, _ size: Int) {
    guard let entry = stacks.current(), insert(UInt(bitPattern: block), entry, size) else {
      _ = unsafe AtomicWord(&lost).fetchAddRelaxed(1)
      return
    }
    stacks.add(entry, size)
  }

  /// Exponentially distributed, with the mean of the period.
  private static func interval(_ random: inout UInt64) -> Int64 {
    if unsafe period == 1 { return 0 }
    random ^= random &<< 13
    random ^= random &>> 7
    random ^= random &<< 17
    // -ln(u) of a u in (0, 1]: of its power of two, and of what is left, m in [1, 2), by the series of the area tangent.
    let u = Double((random &>> 12) + 1) / 0x1p52
    let s = (u.significand - 1) / (u.significand + 1)
    let square = s * s
    let ln = 2 * s * (1 + square * (1 / 3.0 + square * (1 / 5.0 + square * (1 / 7.0 + square / 9))))
    return unsafe Int64(-(Double(u.exponent) * 0.693_147_180_559_945_3 + ln) * Double(period)) + 1
  }

  // MARK: Blocks

  private static func insert(_ address: UInt, _ entry: Int, _ size: Int) -> Bool {
    let (addresses, values) = unsafe bucket(address)
    for place in 0..<places {
      // (C) acquire: whoever had the place before has read its value.
      if unsafe AtomicWord(addresses + place).compareExchangeAcquire(0, UInt64(address)) == 0 {
        // Relaxed: who frees the block was given it by the program, after this.
        unsafe AtomicWord(addresses + place + values).storeRelaxed(UInt64(size) << 16 | UInt64(entry))
        return true
      }
    }
    return false
  }

  /// A sampled block's entry and size.
  struct Sampled {
    fileprivate let entry, size: Int
  }

  /// Forgets a block that is about to be freed or resized; `nil`: it was not sampled. Where nothing comes of it, `remember`.
  @inline(never)
  static func forget(_ block: UnsafeMutableRawPointer) -> Sampled? {
    let address = UInt(bitPattern: block)
    let (addresses, values) = unsafe bucket(address)
    for place in 0..<places where unsafe AtomicWord(addresses + place).loadRelaxed() == UInt64(address) {
      let value = unsafe AtomicWord(addresses + place + values).loadRelaxed()
      // (C) release: the value was read.
      unsafe AtomicWord(addresses + place).storeRelease(0)
      let found = Sampled(entry: Int(value & 0xffff), size: Int(value >> 16))
      stacks.subtract(found.entry, found.size)
      return found
    }
    return nil
  }

  static func remember(_ block: UnsafeMutableRawPointer, _ sampled: Sampled?) {
    guard let sampled, insert(UInt(bitPattern: block), sampled.entry, sampled.size) else { return }
    stacks.restore(sampled.entry, sampled.size)
  }

  // MARK: Report

  /// Writes the profile to `profile`.PROCESS.heap.
  static func write() {
    let file = unsafe km_create_numbered(km_profile_path())
    if file < 0 { return Start.print("kalloc: the profile could not be written\n") }
    write(file)
    km_append_maps(file)
    km_close(file)
    if unsafe AtomicWord(&lost).loadRelaxed() > 0 { Start.print("kalloc: the profile lacks samples: its tables were full\n") }
  }

  private static func write(_ file: Int32) {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
      var text = unsafe Text(buffer, file: file)
      text.write("heap profile: ")
      var sum = Stacks.Counts()
      stacks.forEach { _, counts in sum.add(counts) }
      sum.write(&text)
      text.write(" @ heap_v2/")
      unsafe text.write(period)
      text.write("\n")
      stacks.forEach { entry, counts in
        counts.write(&text)
        text.write(" @")
        stacks.forEachFrame(entry) { frame in
          text.write(" ")
          text.write(hexadecimal: UInt(frame))
        }
        text.write("\n")
      }
      text.write("\nMAPPED_LIBRARIES:\n")
      text.flush()
    }
  }
}
