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
      Ratios are taken within a round, and the median of the rounds counts. Without --family or --workload everything is \
      measured; --list names it.
      """)

  @Option(help: "Rounds, 1 to 1000. Medians need 5.")
  var rounds: Int?
  @Option(help: "Milliseconds per figure, 1 to 60000.")
  var milliseconds: Int?
  @Flag(help: "Only what the targets are about, 5 rounds of 25 ms; prints the targets as Markdown.")
  var quick = false
  @Option(name: .customLong("family"), help: "Only this family; may be repeated.")
  var families: [String] = []
  @Option(name: .customLong("workload"), help: "Only this workload; may be repeated.")
  var names: [String] = []
  @Flag(help: "Name the families and workloads and end.")
  var list = false
  @Flag(inversion: .prefixedNo, help: "Measure the other allocators that are installed.")
  var peers = true
  @Option(help: "Also write the figures to this file as JSON.")
  var json: String?
  @Option(help: "Also write a page with charts to this file.")
  var html: String?
  @Flag(help: "End with status 1 where a target is missed.")
  var check = false

  func validate() throws {
    guard (1...1000).contains(rounds ?? 1), (1...60_000).contains(milliseconds ?? 1) else {
      throw ValidationError("Rounds are 1 to 1000, milliseconds 1 to 60000.")
    }
    for path in [json, html].compactMap({ $0 }) where !Self.canWrite(path) {
      throw ValidationError("Nothing can be written to '\(path)'.")
    }
  }

  func run() throws {
    let (contenders, missing) = Contender.present(withPeers: peers, hardened: !quick)
    let all = try PlannedWorkload.all(contenders)
    if list { return all.forEach { print("\($0.family)  \($0.name)") } }
    let plan = try chosen(all)
    missing.forEach { note($0) }
    if Replay.traces.isEmpty, families.isEmpty || families.contains(where: Replay.families.contains) {
      note("the traces are left out: 'swift build --package-path Stress -c release' builds what replays them")
    }

    let start = Machine.Use()
    var machine = Machine()
    var measurements = Measurements(contenders, of: all)
    defer { RealProgram.clean() }
    for (index, workload) in plan.enumerated() {
      progress("\(index + 1) of \(plan.count): \(workload.name)")
      measurements.add(workload, try measure(workload))
    }
    progress(nil)
    measurements.derive()
    machine.noteUse(start)

    let report = Report(machine: machine, rounds: roundsPerFigure, milliseconds: time, rows: measurements.rows)
    print(quick ? report.summary : report.text)
    if let json { try report.json().write(to: URL(fileURLWithPath: json)) }
    if let html { try Data(Page(report).text.utf8).write(to: URL(fileURLWithPath: html)) }
    if check, report.targets.contains(where: { !$0.isMet }) { throw ExitCode.failure }
  }

  private var roundsPerFigure: Int { rounds ?? (quick ? 5 : 7) }
  private var time: Int { milliseconds ?? (quick ? 25 : 50) }

  private func chosen(_ all: [PlannedWorkload]) throws -> [PlannedWorkload] {
    // What these run may not be here.
    let known = Set(all.map(\.family) + Replay.families + ["programs"])
    for family in families where !known.contains(family) {
      throw ValidationError("There is no family '\(family)'; --list names them.")
    }
    for name in names where !all.contains(where: { $0.name == name }) {
      throw ValidationError("There is no workload '\(name)'; --list names them.")
    }
    if families.isEmpty && names.isEmpty { return quick ? all.filter(Target.needs) : all }
    return all.filter { families.contains($0.family) || names.contains($0.name) }
  }

  /// The figures of each contender, by round.
  private func measure(_ workload: PlannedWorkload) throws -> [String: [[Double]]] {
    var figures: [String: [[Double]]] = [:]
    let contenders = workload.contenders
    let subjects = try workload.isFresh ? [] : contenders.map { try workload.subject($0) }
    defer { for subject in subjects { subject.end() } }
    for subject in subjects { _ = try subject.run(workload, milliseconds: time) }
    for round in 0..<(workload.isFresh ? min(roundsPerFigure, quick ? 3 : 5) : roundsPerFigure) {
      // Another one begins each time, so that none always follows the same other.
      for turn in contenders.indices {
        let index = (turn + round) % contenders.count
        let subject = try workload.isFresh ? workload.subject(contenders[index]) : subjects[index]
        let values = try subject.run(workload, milliseconds: time)
        if workload.isFresh { subject.end() }
        figures[contenders[index].name, default: []].append(values)
      }
    }
    return figures
  }

  /// Whether a file can be written there, by trying: what was there stays as it was.
  private static func canWrite(_ path: String) -> Bool {
    let isThere = access(path, F_OK) == 0
    let file = open(path, O_WRONLY | (isThere ? 0 : O_CREAT | O_EXCL), 0o666)
    guard file >= 0 else { return false }
    close(file)
    if !isThere { unlink(path) }
    return true
  }

  private func note(_ text: String) { FileHandle.standardError.write(Data("kbench: \(text)\n".utf8)) }

  /// One line on a terminal, nothing elsewhere.
  private func progress(_ text: String?) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text ?? "")".utf8))
  }
}
