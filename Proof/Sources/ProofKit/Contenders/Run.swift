import CProof
import Foundation

/// How one run of a workload in a process of its own ended.
struct Run {
  enum Outcome: Equatable {
    case survived
    case hang
    case crash(signal: Int32)
    case wrong(String)

    /// One word.
    var word: String {
      switch self {
      case .survived: "ok"
      case .hang: "hang"
      case .crash(let signal): "crash (\(Run.name(ofSignal: signal)))"
      case .wrong: "wrong"
      }
    }
  }

  var outcome: Outcome
  /// What it printed, line by line.
  var lines: [String] = []

  /// The n-th number of the figures, in the line before the last.
  func figure(_ index: Int) -> Int {
    guard lines.count >= 2 else { return 0 }
    let words = lines[1].split(separator: " ")
    return index < words.count ? Int(words[index]) ?? 0 : 0
  }

  private static func name(ofSignal signal: Int32) -> String {
    switch signal {
    case SIGSEGV: "SIGSEGV"
    case SIGABRT: "SIGABRT"
    case SIGBUS: "SIGBUS"
    case SIGTRAP: "SIGTRAP"
    case SIGILL: "SIGILL"
    default: "signal \(signal)"
    }
  }

  /// Runs a program with a time limit, and environment variables besides the process's own. `quiet`: its
  /// standard error is lost. Throws what the program says that this machine does not offer.
  init(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], quiet: Bool = false,
    limit seconds: Double
  ) throws {
    let pipe = Pipe()
    let writing = pipe.fileHandleForWriting.fileDescriptor
    _ = fcntl(writing, F_SETFD, FD_CLOEXEC)
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
    let child = Run.withStrings([program] + arguments) { arguments in
      Run.withStrings(all) { environment in cp_spawn(program, arguments, environment, writing, quiet) }
    }
    if child < 0 { throw Exit(status: 69, message: "cannot start \(program)") }
    try pipe.fileHandleForWriting.close()
    var end = cp_wait(child, Int32(seconds * 1000))
    let hung = end.how == CP_RUNNING
    if hung { end = cp_kill(child) }
    // It has said why.
    if end.how == CP_EXITED && end.value == 69 { throw Exit(status: 69, message: quiet ? "\(program) refuses" : "") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    lines = String(decoding: output, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init)
    let fault = lines.count > 2 ? lines[2] : ""
    if hung {
      outcome = .hang
    } else if end.how == CP_KILLED {
      outcome = .crash(signal: end.value)
    } else if end.value == 0 {
      outcome = .survived
    } else if fault.hasPrefix("hang") {
      outcome = .hang
    } else if fault.hasPrefix("crash") {
      outcome = .crash(signal: Run.address(in: fault))
    } else {
      outcome = .wrong(fault.isEmpty ? "status \(end.value)" : fault)
    }
  }

  /// The number at the end of a fault: the signal, where a child crashed.
  private static func address(in fault: String) -> Int32 {
    fault.split(separator: " ").last.flatMap { Int32($0.dropFirst(2), radix: 16) } ?? 0
  }

  private static func withStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body(UnsafePointer($0.baseAddress!)) }
  }
}
