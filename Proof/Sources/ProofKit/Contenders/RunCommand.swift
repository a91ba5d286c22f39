import ArgumentParser
import CProof
import Foundation
import Slab

/// One workload over one subject, in this process: what the other commands start as children. Prints as kproof-malloc does.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "One workload over one subject, in this process.", shouldDisplay: false)

  @Option(name: .customLong("subject")) var name = SubjectName.rseq
  /// Of a storm: which events, as the sum of `cp_events`.
  @Option var events: UInt32 = 0
  @Argument var kind: String
  @Argument var seconds: Double
  @Argument var threads: Int32
  @Argument var seed: UInt64
  @Argument var interval: Int
  @Argument var limit: Int32

  mutating func run() throws {
    cp_end_with_parent()
    guard (1...60).contains(threads), seconds >= 0, seconds <= 3600, interval >= 0, limit >= 0 else {
      throw Exit.badArgument("1 to 60 threads, 0 to 3600 seconds, no negative number")
    }
    var options = cp_options(
      threads: threads, seconds: seconds, seed: seed, events: events, interval: interval,
      window: name == .mixed ? 0 : UInt64(HeapSubject.windowBytes), probe: nil, probe_context: nil)
    let subject = try HeapSubject(mode: name.mode, threads: Int(threads))
    var table = try name == .mixed ? MixedSubject(threads: Int(threads)).table : subject.table
    if name == .plainStacks { table = cp_plain_stacks(&table) }
    if name == .spinLocked { table = cp_spin_locked(&table) }
    var result = cp_result()
    switch kind {
    case "signals", "nested":
      options.events = CP_TIMERS.rawValue | CP_HANDLERS.rawValue | (kind == "nested" ? CP_NESTED.rawValue : 0)
      cp_run_churn(&table, &options, &result)
    case "storm":
      options.probe = Probe.run
      options.probe_context = try Unmanaged.passRetained(Probe(mode: name.mode)).toOpaque()
      cp_run_churn(&table, &options, &result)
    case "fork": cp_run_fork(&table, &options, limit, &result)
    case "park": cp_run_park(&table, &options, limit, &result)
    default: throw Exit.badArgument("no workload '\(kind)'")
    }
    let books = subject.heap.statistics()
    let figures: [UInt64] = [
      result.operations, result.handlers, result.forks, result.nested, result.barriers, result.migrations,
      UInt64(books.aborts), UInt64(books.shared), result.probed, result.aborted, result.most_retries,
    ]
    let fault = withUnsafeBytes(of: result.fault) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    print(name.rawValue, figures.map(String.init).joined(separator: " "), fault, separator: "\n")
    if cp_parked() > 0 {
      print((0..<cp_parked()).map { String(cp_parked_at($0) &- cp_load_bias()) }.joined(separator: " "))
    }
    fflush(nil)
    // No destructor of a static runs beside whatever a fault has left behind.
    cp_exit(fault.isEmpty ? 0 : 3)
  }
}
