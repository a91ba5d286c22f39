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
  /// Prints what was found. Returns what was not.
  static func run() throws -> [String] {
    var table = Table("broken on purpose", "proof", "found")
    var missed: [String] = []
    func expect(_ what: String, _ proof: String, _ found: String?) {
      table.add(what, proof, found ?? "NOT FOUND")
      if found == nil { missed.append("\(proof) does not find \(what)") }
    }
    if cp_can_trace() {
      let symbols = try Symbols()
      let refill = Path.all.first { $0.name == "allocate: refills from slabs" }!
      let waiting = try Suspension(
        path: refill, mode: .rseq, symbols: symbols, points: 40, seed: 1, limit: 1500, proof: .suspend, broken: .waits
      ).run()
      expect("a spin lock", "suspend", waiting.failures.first { $0.contains("did not finish") })
      let hoarding = try Suspension(
        path: .hoarding, mode: .rseq, symbols: symbols, points: 200, seed: 1, limit: 20_000, proof: .suspend
      ).run()
      let keeping = try Suspension(
        path: .fromTheStack, mode: .rseq, symbols: symbols, points: 100, seed: 1, limit: 20_000, proof: .interrupt,
        broken: .keepsAside
      ).run()
      let handlers = try Suspension(
        path: .fromTheStack, mode: .rseq, symbols: symbols, points: 400, seed: 1, limit: 20_000, proof: .nested,
        broken: .handlersKeepAside, within: "CrewWork"
      ).run()
      expect("a block taken with a load and a store", "interrupt", keeping.failures.first)
      expect("the same, by handlers alone", "interrupt --nested", handlers.failures.first)
      expect("more in hand than a magazine", "suspend", hoarding.failures.first { $0.contains("objects lost") })
    }
    expect("a spin lock", "park", try SelfTest.parkFault())
    let storm = try Storm.run(.plainStacks, .all, StormOptions.parse(["--seconds", "10"]))
    expect("a pop that is not restartable", "storm", SelfTest.fault(storm))
    for kind in [Workload.Kind.signals, .fork] {
      let run = try Contender.kalloc(.spinLocked).run(Workload(kind: kind, limit: 1000), limit: 4)
      expect("a spin lock", kind.rawValue, SelfTest.fault(run))
    }
    expect("too little address space", "run", try SelfTest.refusal())
    print(table.text)
    return missed
  }

  /// A process that has no room for its heaps says so, and that is no failure of the allocator.
  private static func refusal() throws -> String? {
    let own = Contender.kalloc(.mixed)
    let script = ["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\"", own.program]
    let workload = own.arguments + Workload(kind: .park, seconds: 0, threads: 2, limit: 1000).arguments
    do {
      _ = try Run("/bin/sh", script + workload, quiet: true, limit: 20)
      return nil
    } catch let exit as Exit where exit.status == 69 {
      return "refused"
    }
  }

  /// A thread is not stopped while it has the lock in every process.
  private static func parkFault() throws -> String? {
    for seed in 1...80 as ClosedRange<UInt64> {
      let run = try Park.run(.spinLocked, .parse(["--limit", "1"]), seed: seed)
      if let fault = fault(run) { return fault }
    }
    return nil
  }

  private static func fault(_ run: Run) -> String? {
    if case .wrong(let text) = run.outcome { return text }
    return run.outcome == .survived ? nil : run.outcome.word
  }
}
