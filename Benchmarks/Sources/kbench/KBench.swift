// Measures KAlloc beside the C library's allocator and, where they are installed, beside other allocators.
//
// Each contender has a process of its own, so that none disturbs the heap of another and each `malloc` is the one that a
// program would get. All run the same workload code. In every round each process is asked in turn; all others wait.

import ArgumentParser
import Foundation

@main
struct KBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kbench",
    abstract: "Measures KAlloc beside its peers in one run.",
    discussion: """
      Figures are nanoseconds per allocation and deallocation of 64 bytes; ratios are taken within a round, and the median of \
      the rounds counts. Workloads: pair (one object at a time), lifo-64, random-900 (a batch, freed in shuffled order), \
      producer-consumer (every free on another thread).
      """)

  static let workloads = ["pair", "lifo-64", "random-900", "producer-consumer"]

  @Option(help: "Rounds, at least 1. Medians need 5.")
  var rounds: Int?
  @Option(help: "Milliseconds per figure.")
  var milliseconds: Int?
  @Flag(help: "5 rounds of 30 ms instead of 9 of 100.")
  var quick = false
  @Option(name: .customLong("workload"), help: "Only this workload; may be repeated.")
  var only: [String] = []
  @Flag(inversion: .prefixedNo, help: "Measure the other allocators that are installed.")
  var peers = true
  @Option(help: "Also write the figures to this file as JSON.")
  var json: String?
  @Flag(help: "End with status 1 where a target is missed.")
  var check = false

  func validate() throws {
    guard (rounds ?? 1) >= 1, (milliseconds ?? 1) >= 1 else {
      throw ValidationError("Rounds and milliseconds are at least 1.")
    }
    for name in only where !Self.workloads.contains(name) {
      throw ValidationError("There is no workload '\(name)'; there are \(Self.workloads.joined(separator: ", ")).")
    }
  }

  func run() throws {
    let rounds = rounds ?? (quick ? 5 : 9)
    let milliseconds = milliseconds ?? (quick ? 30 : 100)
    let contenders = [.inlined, .called, .glibc] + (peers ? Contender.installedPeers : [])
    let workloads = only.isEmpty ? Self.workloads : only
    let workers = try contenders.map(Worker.init)
    defer { for worker in workers { worker.end() } }

    var loads = [0.0]
    getloadavg(&loads, 1)
    let load = loads[0]
    var measurements = Measurements()
    for worker in workers {
      for workload in workloads { _ = try worker.run(workload, milliseconds: milliseconds) }
    }
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds)")
      for workload in workloads {
        // Another one begins each time, so that none always follows the same other.
        for index in workers.indices {
          let worker = workers[(index + round) % workers.count]
          let figure = try worker.run(workload, milliseconds: milliseconds)
          measurements.note(workload, worker.contender.name, figure)
        }
      }
    }
    progress(nil)

    let rows = workloads.flatMap { workload in
      contenders.map { measurements.row(workload, $0.name, baseline: Contender.glibc.name) }
    }
    let report = Report(rounds: rounds, milliseconds: milliseconds, load: load, rows: rows)
    print("\(report.machine), \(report.system), \(report.date)")
    if load > Double(ProcessInfo.processInfo.activeProcessorCount) / 2 {
      print(String(format: "The machine was busy: %.1f threads wanted to run. Repeat this when it is idle.", load))
    }
    print("64-byte objects, medians of \(rounds) interleaved rounds of \(milliseconds) ms\n")
    print(report.table)
    if let json { try report.json().write(to: URL(fileURLWithPath: json)) }
    if check, rows.contains(where: { $0.met == false }) { throw ExitCode.failure }
  }

  /// One line on a terminal, nothing elsewhere.
  private func progress(_ text: String?) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text ?? "")".utf8))
  }
}
