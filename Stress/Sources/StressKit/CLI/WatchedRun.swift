import CStress

/// A run with its progress line and its answer to Ctrl-C.
struct WatchedRun: AllocatorUse {
  let options: RunOptions
  /// Whether to look at the memory while it runs.
  let samples: Bool

  func callAsFunction(_ allocator: some AllocatorUnderTest) -> Report {
    let runner = Runner(allocator, options)
    let interrupt = Interrupt { runner.stop() }
    let start = cs_now()
    let total = options.operations == nil ? " of \(options.seconds.brief)" : ""
    let progress = Progress {
      let place = runner.position.now
      let seconds = Double(cs_now() - start) / 1e9
      let round = place.round > 0 ? "  round \(place.round)" : ""
      return "\(seconds.fixed(1)) s\(total)\(round)  \(place.scenario) \(place.phase)/\(place.phases)"
        + "  \(runner.run.control.progress.grouped) operations" + (place.interrupted ? "  stopping" : "")
    }
    let sampler = samples ? Sampler(runner) : nil
    var report = runner.makeRun()
    report.samples = sampler?.end()
    report.machine = Machine.current
    progress.end()
    interrupt.end()
    return report
  }
}
