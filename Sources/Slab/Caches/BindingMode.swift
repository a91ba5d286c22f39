import KAllocAtomics

/// What a thread's cache is bound to, chosen when a heap is made.
///
/// `KALLOC_MODE=rseq|thread|shared` in the environment forces it for the global heap and is the default for others. Another word is
/// ignored, and the process says so once, on standard error.
public enum BindingMode: UInt8, Sendable {
  /// To the CPU, by restartable sequences: the fastest, and bounded by CPUs. Linux 5.10 with glibc 2.35, or later ones; in a
  /// build for ThreadSanitizer only with `-Xcc -fsanitize=thread` beside `--sanitize thread`, so that it sees the sections.
  case rseq = 1
  /// To the thread, handed back whole when it ends: for valgrind, gVisor, musl, and where rseq is absent or broken.
  case thread = 2
  /// To nothing: every operation is lock-free on shared words.
  case shared = 3

  /// The mode named in the environment; `nil` where none is, or a word that names none, which is reported.
  static var forced: BindingMode? {
    // SAFETY: the result of getenv is read at once, up to its terminating zero.
    guard let text = unsafe ka_os_environment("KALLOC_MODE") else { return nil }
    if unsafe equals(text, "rseq") { return .rseq }
    if unsafe equals(text, "thread") { return .thread }
    if unsafe equals(text, "shared") { return .shared }
    if unsafe text[0] != 0 { Report.once("kalloc: KALLOC_MODE is ignored: it is rseq, thread or shared\n") }
    return nil
  }

  /// The mode to use where `wanted` may be impossible.
  static func possible(_ wanted: BindingMode?) -> BindingMode {
    let hasBarrier = ka_barrier_register()
    switch wanted {
    // Without the barrier nobody could empty a CPU's stacks but its own threads.
    case .rseq?, nil: return hasBarrier && ka_sections_usable() ? .rseq : .thread
    case let mode?: return mode
    }
  }

  @unsafe
  private static func equals(_ text: UnsafePointer<CChar>, _ word: StaticString) -> Bool {
    for index in 0..<word.utf8CodeUnitCount
    where unsafe UInt8(bitPattern: text[index]) != word.utf8Start[index] {
      return false
    }
    return unsafe text[word.utf8CodeUnitCount] == 0
  }
}
