import ArgumentParser
import CStress
import Foundation

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Replay recorded programs on KAlloc and on the system's allocator.",
    discussion: "Each replay runs in a process of its own. Time and peak memory are medians of interleaved rounds.")

  @Argument(help: "Traces, as `make record` writes them.") var traces: [String]
  @Option(help: "Rounds on each allocator.") var rounds = 3
  @Flag(help: "All events on one thread, in recorded order.") var serial = false
  @Option(help: "Binding mode of the caches: rseq, thread or shared.") var mode: String?
  @Option(help: "Only this one: kalloc, system, or planned: places known beforehand, no allocator.") var on: String?
  @Option(help: "Write the results as JSON to this file, too.") var json: String?
  @Flag(help: .hidden) var child = false

  mutating func run() throws {
    guard (1...100).contains(rounds) else { throw Exit.badArgument("--rounds takes 1 to 100, not \(rounds)") }
    if let mode, !["rseq", "thread", "shared"].contains(mode) {
      throw Exit.badArgument("--mode takes rseq, thread or shared, not '\(mode)'")
    }
    if let on, on != Self.planned, !AllocatorName.replayed.contains(where: { $0.rawValue == on }) {
      throw Exit.badArgument("--on takes \(AllocatorName.list(AllocatorName.replayed)) or \(Self.planned), not '\(on)'")
    }
    if child { return try runChild() }
    if let json { try Output.checkWritable(json) }
    // All traces are looked at before the first is replayed: a bad one is refused at once.
    let headers = try traces.map { file in
      let header = try Self.load(file).header
      try Self.checkFits(header, file)
      return header
    }
    var reports: [ReplayReport] = []
    for (file, header) in zip(traces, headers) {
      let report = try replay(file, header)
      Output.print(report.text)
      reports.append(report)
    }
    if let json { try Output.write(try ReplayReport.json(reports), to: json) }
    let failures = reports.flatMap { report in report.failures.map { "\(report.trace): \($0)" } }
    failures.forEach(Program.complain)
    if !failures.isEmpty { throw Exit(status: 1, message: "again: \(command)") }
  }

  private func replay(_ file: String, _ header: TraceHeader) throws -> ReplayReport {
    let names = on.map { [$0] } ?? AllocatorName.replayed.map(\.rawValue)
    var results: [String: [ReplayResult]] = [:]
    for _ in 0..<rounds {
      for name in names {
        do {
          results[name, default: []].append(try ReplayChild.run(file, on: name, serial: serial, mode: mode))
        } catch ReplayChild.Problem.died(let status) {
          throw Exit(status: 1, message: "\(file): the replay on \(name) died (\(status)); again: \(command)")
        }
      }
    }
    var report = ReplayReport(trace: file, header: header, rounds: rounds, serial: serial)
    for name in names { report.add(results[name] ?? []) }
    return report
  }

  private func runChild() throws {
    cs_end_with_parent()
    let trace = try Self.load(traces[0])
    let result = try Self.measure(trace, on: on ?? "", serial: serial)
    FileHandle.standardOutput.write(try JSONEncoder().encode(result))
    if result.failure != nil { throw Exit(status: 1) }
  }

  /// What `--on` calls a replay without an allocator.
  private static let planned = "planned"

  private static func measure(_ trace: Trace, on name: String, serial: Bool) throws -> ReplayResult {
    let steps = ReplaySteps(trace, serial: serial)
    if name == planned {
      return ReplayChild.measure(steps, on: PlannedPlaces(steps, blocks: trace.header.blocks))
    }
    guard let name = AllocatorName(rawValue: name) else { throw Exit.badArgument("--child needs --on") }
    var options = RunOptions()
    options.mixesForms = false
    return try name.open(options, for: ReplayUse(steps: steps))
  }

  private var command: String {
    (["kstress replay --rounds \(rounds)"] + (serial ? ["--serial"] : []) + (mode.map { ["--mode \($0)"] } ?? [])
      + (on.map { ["--on \($0)"] } ?? []) + traces).joined(separator: " ")
  }

  /// Refuses a trace that keeps more live than there is memory: a replay touches all of it.
  private static func checkFits(_ header: TraceHeader, _ file: String) throws {
    let memory = ProcessInfo.processInfo.physicalMemory
    guard UInt64(header.peakLiveBytes) <= memory else {
      let (live, there) = (header.peakLiveBytes >> 20, memory >> 20)
      throw Exit(status: 65, message: "\(file): byte 40: \(live) MiB live at most; this machine has \(there) MiB")
    }
  }

  static func load(_ file: String) throws -> Trace {
    do {
      return try Trace(file: file)
    } catch let fault as TraceFault {
      throw Exit(status: 65, message: "\(file): \(fault)")
    } catch {
      throw Exit(status: 66, message: "cannot read '\(file)'")
    }
  }
}

/// A replay in this process.
private struct ReplayUse: AllocatorUse {
  let steps: ReplaySteps

  func callAsFunction(_ allocator: some AllocatorUnderTest) -> ReplayResult {
    ReplayChild.measure(steps, on: allocator)
  }
}
