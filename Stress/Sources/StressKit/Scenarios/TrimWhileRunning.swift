/// Churn, while one more worker trims as fast as it can, reads the statistics, and creates and destroys other heaps.
struct TrimWhileRunning<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  init(_ run: RunContext<Tested>) {
    let count = run.options.threads + 1
    workers = ScenarioName.trim.workers(run, count: count, slots: max(64, Churn<Tested>.slotsInAll / count))
  }

  func step(_ worker: Worker<Tested>) {
    guard worker.index == workers.count - 1 else { return Churn.step(worker, .mixed) }
    let turn = worker.random.below(8)
    let seed = worker.random.next()
    switch turn {
    case 0:
      worker.exerciseScratchHeap(seed: seed)
    case 1, 2:
      _ = worker.run.allocator.traffic()
    default:
      if worker.run.allocator.trim() < 0 { worker.fail(.structure, "trim released a negative number of bytes") }
    }
  }
}
