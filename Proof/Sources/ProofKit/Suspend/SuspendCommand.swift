import ArgumentParser
import CProof
import Foundation

struct SuspendOptions: ParsableArguments {
  @Option(help: "Stop points of each path and mode, at most; 0: all.") var points = 0
  @Option(help: "Only paths whose name contains this.") var path = ""
  @Option(help: "Binding mode: rseq, thread or shared (default: all three).") var mode: String?
  @Option(help: "The seed of which stop points are taken.") var seed: UInt64 = 1
  @Option(help: "Seconds that the others may take for their operations.") var limit = 20.0
  @Flag(help: "Say on standard error which path is done.") var progress = false
  @Flag(help: "Also list the functions in which threads were stopped.") var functions = false

  func check() throws {
    guard points >= 0 else { throw Exit.badArgument("--points takes 0 or more, not \(points)") }
    try Exit.check("--limit", seconds: limit, upTo: 600)
    _ = try modes
  }

  var paths: [Path] { get throws { try Path.named(path, in: Path.all) } }

  var modes: [SubjectName] {
    get throws {
      guard let mode else { return SubjectName.modes }
      guard let name = SubjectName(rawValue: mode), SubjectName.modes.contains(name) else {
        throw Exit.badArgument("--mode takes rseq, thread or shared, not '\(mode)'")
      }
      return [name]
    }
  }
}

struct SuspendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "suspend",
    abstract:
      "Stops a thread for good at each instruction of the allocator; the others must go on, and the loss be bounded.")
  @OptionGroup var options: SuspendOptions

  mutating func run() throws { try Verdict.end(Suspend(options: options).run()) }
}

struct InterruptCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "interrupt",
    abstract: "A signal handler uses the allocator at each of its instructions; nothing may be lost.")
  @OptionGroup var options: SuspendOptions
  @Flag(help: "Each handler is interrupted by another one, at one of its instructions by chance.") var nested = false

  mutating func run() throws {
    try Verdict.end(Suspend(options: options, proof: nested ? .nested : .interrupt).run())
  }
}

/// All paths in all modes, one table.
struct Suspend {
  let options: SuspendOptions
  var proof = Suspension.Proof.suspend
  private var interrupting: Bool { proof != .suspend }

  /// Prints the table. Returns what failed.
  func run() throws -> [String] {
    try options.check()
    let paths = try options.paths
    guard cp_can_trace() else {
      print("suspend: left out, it needs ptrace on x86-64 Linux")
      return []
    }
    let symbols = try Symbols()
    var table = Table(
      heading, "mode", "instructions", "stop points", "of", "trials", "objects lost", "left in caches", "KiB lost",
      proof == .nested ? "nested" : "steps, aborted", "verdict")
    var failures: [String] = []
    var all: [PathReport] = []
    for path in paths {
      for mode in try options.modes {
        let report = try Suspension(
          path: path, mode: mode, symbols: symbols, points: options.points == 0 ? 4096 : options.points,
          seed: options.seed, limit: Int32(options.limit * 1000), proof: proof
        ).run()
        all.append(report)
        if options.progress {
          Program.complain("\(path.name), \(mode.rawValue): \(report.trials) trials, \(report.failures.count) failures")
        }
        failures += report.failures
        table.add(
          path.name, mode.rawValue,
          report.instructions.grouped + (report.isCut ? "+" : ""),
          "\(report.exercised.count)", "\(report.places.count)", "\(report.trials)",
          interrupting ? "\(report.objectsLost)" : "\(report.objectsLost) ≤ \(path.magazine)", "\(report.stuck)",
          interrupting ? "\(report.bytesLost >> 10)" : "\(report.bytesLost >> 10) ≤ \(Loss.bytesBound(path) >> 10)",
          proof == .nested ? "\(report.nested)" : report.steps == 0 ? "" : report.steps.grouped,
          report.failures.isEmpty ? "ok" : "FAILED")
      }
    }
    print(table.text)
    print(total(all))
    if options.functions { print(Suspend.functions(all, symbols)) }
    return failures
  }

  private var heading: String {
    switch proof {
    case .suspend: "a thread stopped for good"
    case .interrupt: "a handler at each place"
    case .nested: "a handler at each place, interrupted"
    }
  }

  private func total(_ reports: [PathReport]) -> String {
    let exercised = reports.reduce(into: Set<UInt64>()) { $0.formUnion($1.exercised) }
    let places = reports.reduce(into: Set<UInt64>()) { $0.formUnion($1.places) }
    let trials = reports.reduce(0) { $0 + $1.trials }
    return
      "\(interrupting ? "interrupt" : "suspend"): \(exercised.count.grouped) of \(places.count.grouped) different instructions of the allocator, "
      + "in \(trials.grouped) processes with a thread \(interrupting ? "interrupted there" : "stopped for good")"
      + (proof == .nested ? ", in \(reports.reduce(0) { $0 + $1.nested }.grouped) of them the handler, too" : "")
  }

  /// For each function how many of its instructions a thread was stopped at.
  private static func functions(_ reports: [PathReport], _ symbols: Symbols) -> String {
    var found: [String: (exercised: Set<UInt64>, places: Set<UInt64>)] = [:]
    for report in reports {
      for address in report.places {
        let name = symbols.function(at: address)?.name ?? "?"
        found[name, default: ([], [])].places.insert(address)
        if report.exercised.contains(address) { found[name]!.exercised.insert(address) }
      }
    }
    var table = Table("function", "stopped at", "of")
    for (name, sets) in found.sorted(by: { $0.key < $1.key }) {
      table.add(name, "\(sets.exercised.count)", "\(sets.places.count)")
    }
    return table.text
  }
}
