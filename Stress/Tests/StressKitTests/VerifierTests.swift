import Testing

@testable import StressKit

// The verifier is worth what it catches: each fault on purpose must be found, and a sound allocator must pass.

private func report(
  _ fault: FaultyAllocator.Fault, _ scenarios: [ScenarioName], operations: Int = 4000, threads: Int = 2,
  seed: UInt64 = 7
) -> Report {
  var options = RunOptions()
  options.allocator = "faulty"
  options.scenarios = scenarios.map(\.rawValue)
  options.operations = operations
  options.threads = threads
  options.seed = seed
  return Runner(FaultyAllocator(fault: fault), options).makeRun()
}

@Suite(.serialized) struct VerifierTests {
  @Test(arguments: ScenarioName.allCases)
  func `a sound allocator passes`(_ name: ScenarioName) {
    let steps: [ScenarioName: Int] = [
      .burst: 20, .exhaustion: 2, .threads: 8, .handoff: 200, .oversubscription: 200, .pages: 400, .onecpu: 500,
      .faults: 500,
    ]
    let report = report(.none, [name], operations: steps[name] ?? 2000)
    #expect(report.outcome == .passed, "\(report.text)")
    #expect(report.books.allocated > 0)
    #expect(report.books.live == 0)
    #expect(report.committedAtEnd == report.committedAtStart)
  }

  @Test(arguments: [
    (FaultyAllocator.Fault.givesTwice, ScenarioName.churn, Failure.Kind.overlap),
    (.givesTwice, .boxes, .overlap),
    (.givesTwice, .handoff, .overlap),
    (.corruptsByte, .churn, .content),
    (.corruptsByte, .boxes, .content),
    (.corruptsByte, .handoff, .content),
    (.corruptsByte, .burst, .content),
    (.losesBlock, .churn, .leftover),
    (.losesBlock, .pages, .leftover),
    (.misaligns, .churn, .alignment),
    (.doesNotZero, .churn, .zeroing),
    (.losesContentOnResize, .churn, .content),
    (.losesContentOnResize, .boxes, .content),
    (.refuses, .churn, .refusal),
    (.refuses, .pages, .refusal),
    (.freesOnRefusedResize, .exhaustion, .content),
    (.ignoresLimit, .exhaustion, .limit),
    (.staysFull, .faults, .refusal),
    (.freesOnRefusedResize, .faults, .content),
    (.losesBlock, .faults, .leftover),
    (.corruptsByte, .faults, .content),
    (.givesTwice, .onecpu, .overlap),
    (.corruptsByte, .onecpu, .content),
    (.failsValidation, .churn, .structure),
    (.understatesUsable, .churn, .usableSize),
    (.leaksInScratchHeap, .trim, .scratchHeap),
    (.leaksInScratchHeap, .heaps, .scratchHeap),
  ])
  func `a fault is found`(_ fault: FaultyAllocator.Fault, _ name: ScenarioName, _ kind: Failure.Kind) throws {
    let steps: [ScenarioName: Int] = [.burst: 50, .exhaustion: 3, .handoff: 400]
    let report = report(fault, [name], operations: steps[name] ?? 20000)
    #expect(report.outcome == .failed)
    #expect(report.exitStatus == 1)
    let first = try #require(report.failures.first)
    #expect(first.kind == kind, "\(first.what)")
    #expect(first.scenario == name.rawValue)
    let text = report.text
    #expect(text.contains("FAILED \(kind.rawValue): "))
    #expect(text.contains("seed 7"))
    #expect(text.contains("again: kstress run --seed 7"))
  }

  @Test func `a seed repeats the choices of a run`() {
    let scenarios: [ScenarioName] = [.churn, .burst, .pages, .boxes, .faults, .oversubscription, .onecpu]
    func choices(_ seed: UInt64) -> [String?] {
      report(.none, scenarios, operations: 50, seed: seed).scenarios.map(\.choices)
    }
    let first = choices(11)
    #expect(first.allSatisfy { $0 != nil })
    #expect(choices(11) == first)
    #expect(zip(choices(12), first).allSatisfy { $0 != $1 })
  }

  @Test func `a run that is stopped still gives everything back`() {
    var options = RunOptions()
    options.scenarios = ["churn", "burst"]
    options.seconds = 60
    options.threads = 2
    let runner = Runner(FaultyAllocator(fault: .none), options)
    Crew.startThread {
      while runner.run.control.progress < 1000 {}
      runner.stop()
    }
    let report = runner.makeRun()
    #expect(report.outcome == .interrupted)
    #expect(report.exitStatus == 130)
    #expect(report.books.live == 0)
    #expect(report.seconds < 30)
  }
}
