import ArgumentParser
import CStress
import Foundation

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Stress the allocator and verify every block (default).")

  @Option(help: "How long to run, in seconds (default: 60).") var seconds: Double?
  @Option(help: "Worker threads (default: twice the CPUs, at least 4).") var threads: Int?
  @Option(help: "The seed of all choices (default: a new one, which the report names).") var seed: UInt64?
  @Option(help: "Steps of each worker in each phase, instead of --seconds: repeats a run exactly.")
  var operations: Int?
  @Option(help: "Scenarios to run, separated by commas (see `kstress list`).") var scenario: String?
  @Option(help: "Binding mode of the caches: rseq, thread or shared.") var mode: String?
  @Option(help: "Simulated NUMA nodes.") var nodes: Int?
  @Option(help: "Hard limit on the heap's committed bytes; K, M and G may follow.") var limit: String?
  @Option(help: "Refuse one request in this many before it reaches the allocator, at random points.") var refuse: Int?
  @Option(help: "Soak for this many hours: all scenarios again and again, and memory that must stay flat.")
  var hours: Double?
  @Option(help: "Write the report as JSON to this file, too.") var json: String?
  @Option(help: "Write the report with its graphs as a page of HTML to this file, too.") var html: String?
  @Option(help: "The allocator to run on: kalloc, mixed (heaps of all modes), or system (the C library).")
  var allocator = AllocatorName.fallback
    .rawValue

  mutating func run() throws {
    let options = try checkedOptions()
    for file in [json, html].compactMap(\.self) { try Output.checkWritable(file) }
    guard let name = AllocatorName(rawValue: options.allocator) else { throw Exit.badArgument("no allocator") }
    try AddressSpace.check(threads: options.threads)
    cs_crash_install()
    let report = try name.open(options, for: WatchedRun(options: options, samples: json != nil || html != nil))
    Output.print(report.text)
    if let json { try Output.write(try report.json(), to: json) }
    if let html { try Output.write(Data(Page(report).text.utf8), to: html) }
    if report.outcome == .failed { report.failureLines.dropFirst().forEach(Program.complain) }
    // After a stall workers may still be inside the allocator: no destructor may run under them.
    if report.failures.contains(where: { $0.kind == .stalled }) { _exit(report.exitStatus) }
    if report.exitStatus != 0 { throw Exit(status: report.exitStatus) }
  }

  func checkedOptions() throws -> RunOptions {
    var options = RunOptions()
    let seconds = seconds ?? 60
    guard seconds.isFinite, seconds > 0, seconds <= 1e6 else {
      throw Exit.badArgument("--seconds takes a positive number up to 1000000, not \(seconds.brief)")
    }
    options.seconds = seconds
    options.threads = threads ?? max(4, 2 * Int(cs_cpu_count()))
    guard (1...512).contains(options.threads) else {
      throw Exit.badArgument("--threads takes 1 to 512, not \(options.threads)")
    }
    options.seed = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    if let operations, operations < 1 { throw Exit.badArgument("--operations takes 1 or more, not \(operations)") }
    options.operations = operations
    if let scenario {
      options.scenarios = scenario.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      if let unknown = options.scenarios.first(where: { ScenarioName(rawValue: $0) == nil }) {
        throw Exit.badArgument("no scenario named '\(unknown)'; `kstress list` names them")
      }
    }
    if let mode, !["rseq", "thread", "shared"].contains(mode) {
      throw Exit.badArgument("--mode takes rseq, thread or shared, not '\(mode)'")
    }
    options.mode = mode
    if let nodes, !(1...64).contains(nodes) { throw Exit.badArgument("--nodes takes 1 to 64, not \(nodes)") }
    options.nodes = nodes
    if let limit {
      guard let bytes = ByteCount.parse(limit), bytes >= 16 << 20 else {
        throw Exit.badArgument("--limit takes a number of bytes of at least 16M, not '\(limit)'")
      }
      options.limit = bytes
    }
    if let refuse, refuse < 2 { throw Exit.badArgument("--refuse takes 2 or more, not \(refuse)") }
    options.refuse = refuse
    if let hours {
      guard hours.isFinite, hours > 0, hours <= 1000 else {
        throw Exit.badArgument("--hours takes a positive number up to 1000, not \(hours.brief)")
      }
      guard operations == nil else { throw Exit.badArgument("--hours and --operations exclude each other") }
      guard self.seconds == nil else { throw Exit.badArgument("--hours and --seconds exclude each other") }
      options.hours = hours
      options.seconds = hours * 3600
    }
    guard AllocatorName(rawValue: allocator) != nil else {
      throw Exit.badArgument("--allocator takes \(AllocatorName.listed), not '\(allocator)'")
    }
    options.allocator = allocator
    return options
  }
}
