/// A step is a burst: up to a few thousand blocks, then all of them back in one of three orders.
///
/// Fills and empties magazines, depots and slabs in one sweep, where churn stays in the middle.
struct Burst<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  static var most: Int { 4096 }

  init(_ run: RunContext<Tested>) {
    workers = ScenarioName.burst.workers(run, count: run.options.threads, slots: Self.most)
  }

  private enum GivenBack: Int { case inOrder, inReverse, scattered }

  func step(_ worker: Worker<Tested>) {
    let count = 64 << worker.random.below(7)  // 64 … 4096, a power of two
    let oneSize = worker.random.once(in: 2)
    let order = GivenBack(rawValue: worker.random.below(3))!
    let scatter = worker.random.below(count) | 1  // odd, so that multiples of it visit every slot
    let common = SizeMix.small.draw(&worker.random)
    for slot in 0..<count {
      let own = SizeMix.small.draw(&worker.random)
      worker.slots[slot] = worker.allocate(oneSize ? common : own)
    }
    for turn in 0..<count {
      let slot =
        switch order {
        case .inOrder: turn
        case .inReverse: count - 1 - turn
        case .scattered: turn &* scatter & (count - 1)
        }
      let block = worker.slots[slot]
      worker.slots[slot] = .none
      if block.exists { worker.free(block) }
      if worker.run.control.isStopped { return }
    }
  }
}
