/// Each worker keeps a table of slots and, at each step, fills, empties or resizes a random one.
///
/// Half of the slots are live on average, of all ages. Used for `churn` and, with many workers, `oversubscription`.
struct Churn<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]
  private let mix: SizeMix

  /// Slots of all workers together: bounds the live memory whatever the number of workers.
  static var slotsInAll: Int { 16 * 1024 }

  init(_ run: RunContext<Tested>, name: ScenarioName, workers count: Int, mix: SizeMix) {
    workers = name.workers(run, count: count, slots: max(64, Self.slotsInAll / count))
    self.mix = mix
  }

  func step(_ worker: Worker<Tested>) { Self.step(worker, mix) }

  /// The same number of draws whatever is found in the slot.
  static func step(_ worker: Worker<Tested>, _ mix: SizeMix) {
    let slot = worker.random.below(worker.slots.count)
    let resize = worker.random.once(in: 8)
    let request = mix.draw(&worker.random)
    let block = worker.slots[slot]
    worker.slots[slot] = .none
    if !block.exists {
      worker.slots[slot] = worker.allocate(request)
    } else if resize {
      worker.slots[slot] = worker.reallocate(block, size: request.size)
    } else {
      worker.free(block)
    }
  }
}
