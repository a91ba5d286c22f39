import ArgumentParser
import CProof
import Foundation

/// What `signals` and `fork` are told.
struct SurvivalOptions: ParsableArguments {
  @Option(help: "How long each run takes, in seconds.") var seconds = 1.0
  @Option(help: "Runs of each allocator, each with another seed.") var runs = 3
  @Option(help: "Threads.") var threads = 4
  @Option(help: "The first run's seed.") var seed: UInt64 = 1
  @Flag(help: "Only KAlloc in this program: no peers.") var alone = false
  @Option(help: "Only allocators whose name contains this.") var only = ""
  @Option(help: "The folder with libkalloc.so, where it was built.") var malloc = "build"

  func check() throws {
    try Exit.check("--seconds", seconds: seconds, upTo: 3600)
    try Exit.check("--runs", runs, 1...1000)
    try Exit.check("--threads", threads, 1...60)
  }

  var contenders: [Contender] {
    let kalloc = (SubjectName.modes + [.mixed]).map(Contender.kalloc)
    let all = alone ? kalloc : kalloc + Contender.overMalloc(kalloc: malloc)
    return all.filter { only.isEmpty || $0.name.contains(only) }
  }
}

/// Runs a workload over all contenders, and says which survive.
struct Survival {
  let options: SurvivalOptions
  let kind: Workload.Kind

  /// Prints the table. Returns what KAlloc failed in.
  func run() throws -> [String] {
    try options.check()
    guard !options.contenders.isEmpty else { throw Exit.badArgument("no allocator's name contains '\(options.only)'") }
    var table = Table(
      "\(kind.rawValue): \(options.runs) × \(options.seconds) s, \(options.threads) threads", "survived", "otherwise",
      "operations", kind == .fork ? "children" : kind == .nested ? "nested handlers" : "handlers")
    var failures: [String] = []
    for contender in options.contenders {
      var outcomes: [Run.Outcome] = []
      var operations = 0
      var events = 0
      for index in 0..<options.runs {
        let workload = Workload(
          kind: kind, seconds: options.seconds, threads: options.threads, seed: options.seed &+ UInt64(index))
        let run = try contender.run(workload)
        outcomes.append(run.outcome)
        operations += run.figure(0)
        events += run.figure(kind == .fork ? 2 : kind == .nested ? 3 : 1)
        if contender.isKAlloc, run.outcome != .survived {
          failures.append("\(kind.rawValue), \(contender.name), seed \(workload.seed): \(run.outcome)")
        }
      }
      let survived = outcomes.filter { $0 == .survived }.count
      table.add(
        contender.name, "\(survived) of \(outcomes.count)", Survival.summary(outcomes), operations.grouped,
        events.grouped)
    }
    print(table.text)
    return failures
  }

  /// `2 hang, 1 crash (SIGSEGV)`.
  private static func summary(_ outcomes: [Run.Outcome]) -> String {
    let words = outcomes.filter { $0 != .survived }.map(\.word)
    return Set(words).sorted().map { word in "\(words.filter { $0 == word }.count) \(word)" }.joined(separator: ", ")
  }
}

struct SignalsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signals",
    abstract: "Signal handlers on all threads allocate and free, wherever they interrupt; KAlloc beside its peers.")
  @OptionGroup var options: SurvivalOptions
  @Flag(help: "Handlers are interrupted by handlers, too.") var nested = false

  mutating func run() throws { try Verdict.end(Survival(options: options, kind: nested ? .nested : .signals).run()) }
}

struct ForkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fork",
    abstract: "Forks in a loop while threads allocate; children free what they inherited. KAlloc beside its peers.")
  @OptionGroup var options: SurvivalOptions

  mutating func run() throws { try Verdict.end(Survival(options: options, kind: .fork).run()) }
}
