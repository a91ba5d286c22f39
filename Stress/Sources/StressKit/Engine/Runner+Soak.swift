import CStress
import Glibc

// A soak: all scenarios in rounds, for hours. At the end of each round everything is given back and trimmed, the heap is
// looked at, and the memory that is still resident is a sample. Whatever is lost in a round, in the heap or in
// the tables beside it, is still there in the next one: samples that rise are a leak, however small each step is.

extension RunOptions {
  /// About fifty rounds, but none so short that scenarios hardly begin, and none longer than a minute.
  var roundSeconds: Double { min(60, max(4, seconds / 50)) }
}

extension Runner {
  func soak(_ committedAtStart: Int?, _ report: inout Report, _ latency: inout Latency) {
    var soak = Soak()
    let start = cs_now()
    func elapsed() -> Double { Double(cs_now() - start) / 1e9 }
    var round = 0
    while !run.control.isStopped, round < run.options.rounds ?? .max {
      let left = run.options.seconds - elapsed()
      guard run.options.rounds != nil || left > 0 else { break }
      run.control.beginRound(round)
      round += 1
      position.enterRound(round)
      makeScenarios(seconds: min(run.options.roundSeconds, max(left, 1)), &report, &latency)
      guard !position.isStalled else { break }
      checkReturned(to: committedAtStart, &report)
      // The harness's own tables go, and what the C library keeps of them.
      run.shadow.forget()
      malloc_trim(0)
      soak.samples.append(
        Soak.Sample(
          seconds: elapsed(), operations: report.books.operations, resident: resident(),
          committed: run.allocator.committedBytes ?? 0))
    }
    soak.judge()
    report.soak = soak
    if run.failures.isEmpty, let growth = soak.growth, growth.isSignificant {
      run.fail(.growth, soak.text, scenario: run.options.scenarios.joined(separator: ","), phase: 0)
    }
  }
}
