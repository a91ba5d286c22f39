import ArgumentParser
import CProof
import Foundation

struct ParkOptions: ParsableArguments {
  @Option(help: "How long, in seconds, in each mode.") var seconds = 3.0
  @Option(help: "Threads of each process; all but one are stopped.") var threads = 8
  @Option(help: "The first process's seed.") var seed: UInt64 = 1
  @Option(help: "Seconds that the others may take for a thousand operations.") var limit = 20.0
  @Flag(help: "Also list the functions in which threads were stopped.") var functions = false

  func check() throws {
    try Exit.check("--seconds", seconds: seconds, upTo: 3600)
    try Exit.check("--threads", threads, 2...60)
    try Exit.check("--limit", seconds: limit, upTo: 600)
  }
}

struct ParkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "park",
    abstract: "Stops threads for good at random moments under load, one after the other; the last ones must go on.")
  @OptionGroup var options: ParkOptions

  mutating func run() throws { try Verdict.end(Park(options: options).run()) }
}

/// Processes whose threads are stopped one by one, by a process that traces them, until one is left. Half of the threads are
/// looked for in a restartable sequence.
struct Park {
  let options: ParkOptions

  /// Prints the table. Returns what failed.
  func run() throws -> [String] {
    try options.check()
    let symbols = try Symbols()
    var table = Table(
      "parked for good: \(options.seconds) s each", "processes", "threads stopped", "in the allocator",
      "different places", "in a sequence", "operations", "verdict")
    var failures: [String] = []
    var all: [UInt64] = []
    for subject in SubjectName.modes + [.mixed] {
      var processes = 0
      var operations = 0
      var places: [UInt64] = []
      let before = failures.count
      let until = Date().addingTimeInterval(options.seconds)
      while Date() < until && failures.count == before {
        let seed = options.seed &+ UInt64(processes)
        let run = try Park.run(subject, options, seed: seed)
        processes += 1
        operations += run.figure(0)
        places += Park.places(run)
        if run.outcome != .survived {
          let last = Park.places(run).last.map { ", the last one at \(symbols.describe($0))" } ?? ""
          failures.append("park, \(subject.rawValue), seed \(seed): \(run.outcome)\(last)")
        }
      }
      let inside = places.filter(symbols.isAllocator)
      table.add(
        subject.rawValue, "\(processes)", places.count.grouped, inside.count.grouped, Set(inside).count.grouped,
        inside.count(where: cp_is_in_section).grouped, operations.grouped, failures.count == before ? "ok" : "FAILED")
      all += inside
    }
    print(table.text)
    if options.functions { print(Park.functions(all, symbols)) }
    return failures
  }

  static func run(_ subject: SubjectName, _ options: ParkOptions, seed: UInt64) throws -> Run {
    try Contender.kalloc(subject).run(
      Workload(kind: .park, seconds: 0, threads: options.threads, seed: seed, limit: Int(options.limit * 1000)),
      limit: options.limit * 2 + 20)
  }

  /// Where threads were stopped: the fourth line, relative to where the program was loaded.
  private static func places(_ run: Run) -> [UInt64] {
    guard run.lines.count > 3 else { return [] }
    return run.lines[3].split(separator: " ").compactMap { UInt64($0) }.map { $0 &+ cp_load_bias() }
  }

  private static func functions(_ places: [UInt64], _ symbols: Symbols) -> String {
    var table = Table("function", "threads stopped", "different places")
    let named = Dictionary(grouping: places) { symbols.function(at: $0)?.name ?? "?" }
    for (name, places) in named.sorted(by: { $0.key < $1.key }) {
      table.add(name, "\(places.count)", "\(Set(places).count)")
    }
    return table.text
  }
}
