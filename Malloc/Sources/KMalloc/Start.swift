// The first call of all, in which the options are read and the heap is made. Lock-free: threads that are first together read
// the same text and write the same values; one heap wins (`Heap.startGlobal`).

import CMalloc
import Slab

/// The options, once they are read. Written before `Start.word` says so, with the same values by whoever writes.
nonisolated(unsafe) var options = Options()

/// Whether the options want every call to take its slow half. As `options`.
nonisolated(unsafe) var intercepts = false

enum Start {
  private static nonisolated(unsafe) var word: UInt64 = 0
  private static nonisolated(unsafe) var reporter: UInt64 = 0
  /// What standard error was at the start: programs close theirs before they have exited.
  private static nonisolated(unsafe) var duplicate: Int32 = 2
  /// -1 where the program has something else in its place by now.
  static var standardError: Int32 { unsafe duplicate == 2 || km_is_duplicate(duplicate) ? duplicate : -1 }

  @inline(__always)
  static func ensure() {
    // (A) acquire: the options.
    if unsafe AtomicWord(&word).loadAcquire() == 0 { first() }
  }

  @inline(never)
  private static func first() {
    let errno = km_errno()
    // Relaxed: whoever is first reports, nothing follows from it.
    let reports = unsafe AtomicWord(&reporter).exchangeRelaxed(1) == 0
    var found = Options()
    // SAFETY: the environment's strings end with a zero.
    if let text = unsafe km_environment("KALLOC_OPTIONS") {
      found = unsafe Options(text, reporting: reports)
      if reports && found.help { print(Options.help) }
    }
    let mode = environmentMode(reporting: reports)
    var configuration = HeapConfiguration()
    // With none the library would ask the environment once more.
    configuration.mode = found.mode ?? mode ?? .rseq
    configuration.limit = found.limit
    if found.profiles { found.profiles = Profile.begin(period: found.profilePeriod) }
    // Programs map far more than they touch: address space is what the C library's allocator would never run out of.
    configuration.windowBytes = 1 << 40
    // Only where no call is served from a CPU's stack without a question can calls be made to fail, or be sampled.
    if found.interceptsCalls && configuration.mode != .shared { configuration.mode = .thread }
    unsafe options = found
    unsafe intercepts = found.interceptsCalls
    let made = try? Heap.startGlobal(configuration)
    if made == true && found.reportsAtExit { unsafe duplicate = km_duplicate(2) }
    if made == true && found.verbose { sayHow() }
    // (A) release: the options. Where there was no memory for the heap, the next call tries again.
    if made != nil { unsafe AtomicWord(&word).storeRelease(1) }
    km_set_errno(errno)
  }

  /// Before `main`, once the C library is ready: what the first call could not do inside an allocation.
  static func begin() {
    if unsafe km_environment("KALLOC_OPTIONS") != nil {
      ensure()
      if Profile.isOn { km_stack_begin() }
    }
    if Background.isWanted() { km_background_begin() }
  }

  private static func environmentMode(reporting: Bool) -> BindingMode? {
    guard let text = unsafe km_environment("KALLOC_MODE"), unsafe text[0] != 0 else { return nil }
    let mode = unsafe Options.mode(named: text)
    if mode == nil && reporting { unsafe Options.report("KALLOC_MODE", text, "it is rseq, thread or shared") }
    return mode
  }

  static func print(_ text: StaticString) {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 512) { buffer in
      var output = unsafe Text(buffer, file: standardError)
      output.write(text)
      output.flush()
    }
  }

  private static func sayHow() {
    switch Heap.global.mode {
    case .rseq: print("kalloc: heap made, caches bound to CPUs (rseq)\n")
    case .thread: print("kalloc: heap made, caches bound to threads\n")
    case .shared: print("kalloc: heap made, no caches (shared)\n")
    case nil: print("kalloc: the heap could not be made\n")
    }
  }
}

@c(km_begin)
public func begin() { Start.begin() }
