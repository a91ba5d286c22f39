import ArgumentParser
import CProof
import Foundation

struct StormOptions: ParsableArguments {
  @Option(help: "How long each storm takes, in seconds.") var seconds = 2.0
  @Option(help: "Threads.") var threads = 4
  @Option(help: "The seed of all choices.") var seed: UInt64 = 1
  @Flag(inversion: .prefixedNo, help: "Step through operations with gdb, too.") var gdb = true

  func check() throws {
    try Exit.check("--seconds", seconds: seconds, upTo: 3600)
    try Exit.check("--threads", threads, 1...60)
  }
}

struct StormCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storm",
    abstract: "Aborts restartable sequences as fast as the machine can, from outside, and verifies every block.")
  @OptionGroup var options: StormOptions

  mutating func run() throws { try Verdict.end(Storm(options: options).run()) }
}

/// Storms of aborts, each in a process of its own.
struct Storm {
  let options: StormOptions

  /// A kind of storm, by the events that make it.
  struct Kind {
    let name: String
    let events: UInt32

    static let barriers = Kind(name: "membarrier", events: CP_BARRIERS.rawValue)
    static let timers = Kind(name: "50 µs timer", events: CP_TIMERS.rawValue)
    static let migrations = Kind(name: "migrations", events: CP_MIGRATIONS.rawValue)
    static let all = Kind(
      name: "all, handlers allocate",
      events: CP_BARRIERS.rawValue | CP_TIMERS.rawValue | CP_HANDLERS.rawValue | CP_MIGRATIONS.rawValue)
  }

  /// Prints the table. Returns what failed.
  func run() throws -> [String] {
    try options.check()
    var table = Table(
      "storm, \(options.seconds) s each", "mode", "operations", "barriers", "ticks", "migrations", "probed",
      "of them aborted",
      "most retries of one", "verdict")
    var failures: [String] = []
    let kinds: [(SubjectName, Kind)] =
      [Kind.barriers, .timers, .migrations, .all].map { (.rseq, $0) } + [(.thread, .all), (.shared, .all)]
    for (subject, kind) in kinds {
      let run = try Storm.run(subject, kind, options)
      let most = run.figure(10)
      var verdict = run.outcome.word
      if run.outcome != .survived { failures.append("storm, \(kind.name), \(subject.rawValue): \(run.outcome)") }
      if most > Bounds.retries {
        verdict = "retries not bounded"
        failures.append("storm, \(kind.name), \(subject.rawValue): an operation was retried \(most) times")
      }
      table.add(
        kind.name, subject.rawValue, run.figure(0).grouped, run.figure(4).grouped, run.figure(1).grouped,
        run.figure(5).grouped, run.figure(8).grouped, subject == .rseq ? run.figure(9).grouped : "", "\(most)", verdict)
    }
    print(table.text)
    if options.gdb { failures += try Debugger.run() }
    return failures
  }

  static func run(_ subject: SubjectName, _ kind: Kind, _ options: StormOptions) throws -> Run {
    try Contender.kalloc(subject).run(
      Workload(
        kind: .storm, seconds: options.seconds, threads: options.threads, seed: options.seed, events: kind.events),
      limit: options.seconds + 20)
  }
}
