import CStress

// A run: the chosen scenarios one after the other, each in a few phases, with the books checked whenever all workers are
// at rest, and everything given back at the end.
//
//   for each scenario:  phase, check, phase, check, …, drain, check
//   at the end:         trim; committed bytes as at the start
//
// A soak does all that again and again (`Runner+Soak.swift`).

/// Makes one run. Externally synchronised; `stop` and `position` may be used from other threads meanwhile.
final class Runner<Tested: AllocatorUnderTest>: Sendable {
  let run: RunContext<Tested>
  let position = Position()
  /// Bytes of the process that are in memory now.
  let resident: @Sendable () -> Int

  init(
    _ allocator: Tested, _ options: RunOptions,
    resident: @escaping @Sendable () -> Int = { Int(cs_resident_bytes()) }
  ) {
    run = RunContext(allocator, options)
    self.resident = resident
  }

  /// Ends the run early: the workers finish their step, everything is given back and checked.
  func stop() {
    position.interrupt()
    run.control.stop()
  }

  func makeRun() -> Report {
    var report = Report(options: run.options, allocator: run.allocator.name)
    let trafficAtStart = run.allocator.traffic()
    _ = run.allocator.trim()
    let committedAtStart = run.allocator.committedBytes
    let cpuAtStart = cs_cpu_time()
    let start = cs_now()
    var latency = Latency()
    if run.options.isSoak {
      soak(committedAtStart, &report, &latency)
    } else {
      makeScenarios(seconds: run.options.seconds, &report, &latency)
    }
    report.seconds = Double(cs_now() - start) / 1e9
    report.cpuSeconds = Double(cs_cpu_time() - cpuAtStart) / 1e9
    if !position.isStalled { checkReturned(to: committedAtStart, &report) }
    report.finish(latency: latency, failures: run.failures, interrupted: position.isInterrupted)
    if let early = trafficAtStart, let late = run.allocator.traffic() { report.note(traffic: late - early) }
    return report
  }

  /// All scenarios, once, in `seconds`.
  func makeScenarios(seconds: Double, _ report: inout Report, _ latency: inout Latency) {
    let start = cs_now()
    let names = run.options.scenarios.compactMap(ScenarioName.init(rawValue:))
    for (turn, name) in names.enumerated() where !run.control.isStopped {
      let left = seconds - Double(cs_now() - start) / 1e9
      make(name, seconds: max(0.05, left / Double(names.count - turn)), &report, &latency)
      if position.isStalled { break }
    }
  }

  private func make(_ name: ScenarioName, seconds: Double, _ report: inout Report, _ latency: inout Latency) {
    let scenario = name.make(run)
    let start = cs_now()
    let phases = run.options.operations == nil ? min(4, max(1, Int(seconds / 0.5))) : 2
    var made = 0
    run.control.clearProgress()
    for phase in 1...phases where !run.control.isStopped && !scenario.workers.isEmpty {
      position.enter(name, phase: phase, of: phases, command: run.options.command)
      guard runPhase(scenario, name, phase, seconds: seconds / Double(phases)) else { return }
      made = phase
      check(scenario, name, phase, &report)
    }
    if run.failures.isEmpty { drain(scenario, name, made + 1, &report) }
    for worker in scenario.workers { latency.merge(worker.latency) }
    report.add(
      name, scenario.workers.map(\.ledger), phases: made, seconds: Double(cs_now() - start) / 1e9,
      choices: scenario.choicesDependOnAnswers ? nil : scenario.workers.map(\.random.fingerprint))
  }

  /// False where the workers did not come back.
  private func runPhase(
    _ scenario: any Scenario<Tested>, _ name: ScenarioName, _ phase: Int, seconds: Double
  ) -> Bool {
    let run = run
    let limit = run.options.operations
    run.control.beginPhase()
    run.control.setMayRefuse(run.options.limit != nil)
    scenario.beforePhase()
    let finished = scenario.crew.run(
      scenario.workers.count, control: run.control, seconds: limit == nil ? seconds : nil
    ) { index in
      let worker = scenario.workers[index]
      worker.phase = phase
      scenario.begin(worker)
      var steps = 0
      while !run.control.isPhaseOver, steps < limit ?? .max {
        scenario.step(worker)
        steps += 1
      }
      scenario.end(worker)
    }
    guard finished else { return stalled(name, phase) }
    scenario.afterPhase()
    return true
  }

  private func drain(_ scenario: any Scenario<Tested>, _ name: ScenarioName, _ phase: Int, _ report: inout Report) {
    let finished = scenario.crew.run(scenario.workers.count, control: run.control, seconds: nil) { index in
      scenario.workers[index].phase = phase
      scenario.drain(scenario.workers[index])
    }
    guard finished else { return _ = stalled(name, phase) }
    check(scenario, name, phase, &report)
    let live = scenario.workers.reduce(Ledger()) { $0 + $1.ledger }.live
    if live != 0, run.failures.isEmpty {
      run.fail(
        .conservation, "\(live) blocks are live after all were given back", scenario: name.rawValue, phase: phase)
    }
  }

  private func stalled(_ name: ScenarioName, _ phase: Int) -> Bool {
    position.setStalled()
    run.fail(
      .stalled, "no worker made a step for \(Crew.patience.brief) s", scenario: name.rawValue, phase: phase)
    return false
  }
}
