/// Threads that come and go: each makes a few hundred steps of churn and ends, and a new one takes its table over.
///
/// So nearly every block is freed by another thread than the one that allocated it, which is gone; caches that belong to
/// threads must come back, and nothing may grow with the number of threads that there ever were.
struct ThreadChurn<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  var crew: Crew { .threads }
  static var stepsPerThread: Int { 256 }

  init(_ run: RunContext<Tested>) {
    let count = run.options.threads
    workers = ScenarioName.threads.workers(run, count: count, slots: max(64, Churn<Tested>.slotsInAll / 4 / count))
  }

  /// One step starts one thread and waits for it: the worker's own thread only keeps count.
  func step(_ worker: Worker<Tested>) {
    _ = Crew.threads.run(1, control: worker.run.control, seconds: nil) { _ in
      for _ in 0..<Self.stepsPerThread where !worker.run.control.isStopped { Churn.step(worker, .mixed) }
    }
  }
}
