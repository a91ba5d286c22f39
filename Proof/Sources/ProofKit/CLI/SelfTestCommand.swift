import ArgumentParser
import CProof
import Foundation

/// Shows that the proofs find what is broken on purpose.
struct SelfTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "self-test",
    abstract: "Runs the proofs over allocators that are broken on purpose: each must be found.")

  mutating func run() throws { try Verdict.end(SelfTest.run()) }
}

enum SelfTest {
  /// Returns what was not found.
  static func run() throws -> [String] {
    var failures: [String] = []
    if cp_can_trace() {
      let path = Path.all.first { $0.name == "allocate: refills from slabs" }!
      let report = try Suspension(
        path: path, mode: .rseq, symbols: Symbols(), points: 40, seed: 1, limit: 1500, waits: true
      ).run()
      print("suspend over a spin lock: \(report.failures.first ?? "nothing found")")
      if !report.failures.contains(where: { $0.contains("did not finish") }) {
        failures.append("suspend did not find that others wait for a stopped thread")
      }
    }
    let storm = try Storm.run(.plainStacks, .all, StormOptions.parse(["--seconds", "10"]))
    print("storm over stacks that are not restartable: \(storm.outcome)")
    if storm.outcome == .survived { failures.append("the storm did not find that pop is not restartable") }
    return failures
  }
}
