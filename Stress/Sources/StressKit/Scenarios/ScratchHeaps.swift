/// Each step makes a heap, begins on it with several threads at once, gives everything back and ends it.
struct ScratchHeaps<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  init(_ run: RunContext<Tested>) {
    let count = run.allocator.makesScratchHeaps ? min(run.options.threads, 4) : 0
    workers = ScenarioName.heaps.workers(run, count: count, slots: 0)
  }

  func step(_ worker: Worker<Tested>) { worker.exerciseScratchHeap(seed: worker.random.next()) }
}

extension Worker {
  func exerciseScratchHeap(seed: UInt64) {
    let result = run.allocator.exerciseScratchHeap(seed: seed)
    if let wrong = result.failure { fail(.scratchHeap, wrong) }
    ledger.allocated += result.blocks
    ledger.freed += result.blocks
    ledger.blocksChecked += result.blocks
    ledger.refused += result.refused
    tick()
  }
}
