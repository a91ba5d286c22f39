// Refusals at random points, of two kinds.
//
//   the heap's   one worker moves the limit up and down: below what is committed, just above it, far above, away. Wherever
//                another worker is at that moment (a new slab, a run, a stack of pages, a larger block), it is refused
//   our own      each worker refuses one request in 24 before the allocator sees it, at points that the seed repeats:
//                boxes and vectors must survive each of them unchanged
//
// Workers in turn: churn, containers, pages, containers, churn, …; the last one moves the limit, with some churn between two moves. The books,
// the contents and the structures are checked as ever, so what a refusal loses or leaves half done is seen at the end of
// the phase; then the limit is gone, and whatever was refused must be there again.

struct Faults<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]
  private let run: RunContext<Tested>
  private let containers: Boxes<Tested>
  private let before = Guarded<Int?>(nil)

  static var refusesOnceIn: Int { 24 }
  /// How far the limit moves: a few runs of the largest size.
  static var reach: Int { 8 << 20 }
  static var slotsInAll: Int { 8 * 1024 }

  init(_ run: RunContext<Tested>) {
    self.run = run
    let count = max(2, run.options.threads) + 1
    workers = ScenarioName.faults.workers(run, count: count, slots: max(64, Self.slotsInAll / count))
    for worker in workers { worker.refusesOnceIn = Self.refusesOnceIn }
    containers = Boxes(workers)
  }

  private func holdsContainers(_ worker: Worker<Tested>) -> Bool {
    worker.index & 1 == 1 && worker.index != workers.count - 1
  }

  func beforePhase() {
    before.withLock { $0 = run.allocator.limit }
    if run.allocator.limit != nil { run.control.setMayRefuse(true) }
  }

  /// With the limit as it was, every size must be had again.
  func afterPhase() {
    guard let limit = before.withLock({ $0 }) else { return }
    run.allocator.setLimit(limit)
    run.control.setMayRefuse(run.options.limit != nil)
    guard run.failures.isEmpty, let worker = workers.last else { return }
    worker.refusesOnceIn = 0
    for size in [1, 1000, 40_000, 1 << 20] {
      let block = worker.allocate(size: size)
      if block.exists { worker.free(block) }
    }
    worker.refusesOnceIn = Self.refusesOnceIn
  }

  func step(_ worker: Worker<Tested>) {
    if worker.index == workers.count - 1 {
      moveLimit(worker)
      for _ in 0..<16 { Churn.step(worker, .mixed) }
    } else if holdsContainers(worker) {
      containers.step(worker)
    } else if worker.index & 3 == 2 {
      Pages.step(worker, 0...6)
    } else {
      Churn.step(worker, .mixed)
    }
  }

  private func moveLimit(_ worker: Worker<Tested>) {
    let kind = worker.random.below(4)
    let distance = worker.random.below(Self.reach)
    guard let before = before.withLock({ $0 }), let committed = run.allocator.committedBytes else { return }
    switch kind {
    case 0: run.allocator.setLimit(max(0, committed - distance))
    case 1: run.allocator.setLimit(min(before, committed + distance >> 7))
    case 2: run.allocator.setLimit(min(before, committed + distance))
    default: run.allocator.setLimit(before)
    }
  }

  func drain(_ worker: Worker<Tested>) {
    if holdsContainers(worker) { return containers.drain(worker) }
    for slot in 0..<worker.slots.count where worker.slots[slot].exists {
      let block = worker.slots[slot]
      worker.slots[slot] = .none
      worker.free(block)
    }
  }

  func forEachLive(_ body: (Block) -> Void) {
    containers.forEachLive(body)
    for worker in workers {
      for slot in 0..<worker.slots.count where worker.slots[slot].exists { body(worker.slots[slot]) }
    }
  }
}
