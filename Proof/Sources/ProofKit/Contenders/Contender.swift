import CProof
import Foundation

/// An allocator that runs a workload in a process of its own.
struct Contender {
  let name: String
  let program: String
  /// The arguments before the workload's.
  var arguments: [String] = []
  /// A library that is loaded before the C library, so that its `malloc` is the one.
  var library: String?

  private static let overMalloc =
    URL(fileURLWithPath: Program.path).deletingLastPathComponent().appendingPathComponent("kproof-malloc").path

  /// KAlloc through Swift, in this program.
  static func kalloc(_ subject: SubjectName) -> Contender {
    Contender(
      name: "KAlloc, \(subject.rawValue)", program: Program.path, arguments: ["run", "--subject", subject.rawValue])
  }

  /// The C library's malloc, the peers that `make bootstrap-bench` installs and KAlloc as `make malloc` leaves it, where
  /// they are there. All run the same program.
  static func overMalloc(kalloc folder: String) -> [Contender] {
    let machines = ["/x86_64-linux-gnu", "/aarch64-linux-gnu", ""]
    let folders = machines.map { "/usr/lib\($0)" } + ["/usr/lib64", "/usr/local/lib"]
    let libraries = [
      ("jemalloc", "libjemalloc.so.2", folders), ("mimalloc", "libmimalloc.so.2", folders),
      ("tcmalloc", "libtcmalloc_minimal.so.4", folders), ("KAlloc, preloaded", "libkalloc.so", [folder]),
    ]
    let peers = libraries.compactMap { name, file, folders in
      folders.map { "\($0)/\(file)" }.first(where: FileManager.default.fileExists(atPath:))
        .map { Contender(name: name, program: overMalloc, library: $0) }
    }
    return [Contender(name: "C library", program: overMalloc)] + peers
  }

  /// Whether a failure of this one is one of KAlloc.
  var isKAlloc: Bool { name.hasPrefix("KAlloc") }

  /// - Parameter limit: seconds that it may take; `nil`: as the workload needs.
  func run(_ workload: Workload, limit: Double? = nil) throws -> Run {
    let environment = library.map { ["LD_PRELOAD": $0] } ?? [:]
    // What the workload takes, an orderly end, and more on a busy machine.
    let limit = limit ?? workload.seconds * 2 + (workload.kind == .fork ? Double(workload.limit) / 1000 : 0) + 8
    let run = try Run(program, arguments + workload.arguments, environment: environment, quiet: !isKAlloc, limit: limit)
    if let library, let loaded = run.lines.first, !loaded.isEmpty,
      URL(fileURLWithPath: library).resolvingSymlinksInPath() != URL(fileURLWithPath: loaded).resolvingSymlinksInPath()
    {
      throw Exit(status: 69, message: "\(name): malloc comes from \(loaded), not from \(library)")
    }
    return run
  }
}

/// What a contender is to run, and how much of it: `RunCommand`. All contenders know those of signals and fork.
struct Workload {
  enum Kind: String {
    /// Handlers allocate.
    case signals
    /// The same, and are interrupted by handlers.
    case nested
    case fork
    /// Events that abort sections.
    case storm
    /// Threads are stopped one by one.
    case park
  }
  var kind: Kind
  var seconds = 1.0
  var threads = 4
  var seed: UInt64 = 1
  /// Nanoseconds between two signals on a thread.
  var interval = 50_000
  /// Milliseconds that a forked child, or the threads that were not stopped, may take.
  var limit = 5000
  /// Of a storm: the sum of `cp_events`.
  var events: UInt32 = 0

  var arguments: [String] {
    (events == 0 ? [] : ["--events", "\(events)"])
      + [kind.rawValue, "\(seconds)", "\(threads)", "\(seed)", "\(interval)", "\(limit)"]
  }
}
