// Against the wall: all workers allocate until they are refused, again and again.
//
// Checked at each refusal: the committed bytes are within the limit; a reallocation that is refused leaves its block, content
// and all. After each refusal half of the blocks go back and allocating starts over: it must succeed again. At the end of
// the phase the limit goes back to what it was. Allocators that have no limit are left alone.

struct Exhaustion<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]
  private let run: RunContext<Tested>
  private let before = Guarded<Int?>(nil)

  var choicesDependOnAnswers: Bool { true }
  /// Above what the heap holds already.
  static var room: Int { 32 << 20 }
  /// Blocks that are surely more than the room, at about 2 KiB on average.
  static var slotsInAll: Int { 64 * 1024 }

  init(_ run: RunContext<Tested>) {
    self.run = run
    let supported = run.allocator.limit != nil
    let count = run.options.threads
    workers = ScenarioName.exhaustion.workers(run, count: supported ? count : 0, slots: Self.slotsInAll / count)
  }

  func beforePhase() {
    guard let limit = run.allocator.limit, let committed = run.allocator.committedBytes else { return }
    before.withLock { $0 = limit }
    run.control.setMayRefuse(true)
    run.allocator.setLimit(min(limit, committed + Self.room))
  }

  func afterPhase() {
    guard let limit = before.withLock({ $0 }) else { return }
    let live = workers.reduce(0) { $0 + $1.ledger.liveBytes }
    if let inForce = run.allocator.limit, live > inForce {
      run.fail(
        .limit, "\(live) bytes are live under a limit of \(inForce)", scenario: "exhaustion",
        phase: workers.first?.phase ?? 0)
    }
    run.allocator.setLimit(limit)
    run.control.setMayRefuse(run.options.limit != nil)
  }

  func step(_ worker: Worker<Tested>) {
    var last = -1
    for slot in 0..<worker.slots.count where !worker.slots[slot].exists {
      if worker.run.control.isPhaseOver { return }
      let block = worker.allocate(SizeMix.mixed.draw(&worker.random))
      guard block.exists else { break }
      worker.slots[slot] = block
      last = slot
    }
    checkLimit(worker)
    if last >= 0 {
      // Usually refused: then the block is as it was, which `reallocate` checks.
      let block = worker.slots[last]
      worker.slots[last] = .none
      worker.slots[last] = worker.reallocate(block, size: block.size + Self.room)
    }
    let keepOdd = worker.random.once(in: 2)
    for slot in stride(from: keepOdd ? 0 : 1, to: worker.slots.count, by: 2) where worker.slots[slot].exists {
      let block = worker.slots[slot]
      worker.slots[slot] = .none
      worker.free(block)
    }
  }

  private func checkLimit(_ worker: Worker<Tested>) {
    guard let limit = run.allocator.limit, let committed = run.allocator.committedBytes else { return }
    if committed > limit { worker.fail(.limit, "\(committed) bytes are committed under a limit of \(limit)") }
  }
}
