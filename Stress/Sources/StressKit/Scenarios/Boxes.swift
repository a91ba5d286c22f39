/// Single values and growing vectors, by the sizes and growth that typed containers ask for.
struct Boxes<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  /// Sizes and alignments of the values.
  private static var values: [(size: Int, alignment: Int)] { [(1, 1), (8, 8), (16, 16), (24, 8), (40, 8), (72, 8)] }
  static var longestVector: Int { 64 * 1024 }

  init(_ run: RunContext<Tested>) {
    workers = ScenarioName.boxes.workers(run, count: run.options.threads, slots: 1024)
  }

  /// Even slots hold single values; odd ones hold vectors, which double until they are long, and then start anew.
  func step(_ worker: Worker<Tested>) {
    let slot = worker.random.below(worker.slots.count)
    let value = Self.values[worker.random.below(Self.values.count)]
    let block = worker.slots[slot]
    worker.slots[slot] = .none
    if !block.exists {
      let count = slot & 1 == 0 ? 1 : 4
      worker.slots[slot] = worker.allocate(size: value.size * count, alignment: value.alignment)
    } else if slot & 1 == 1, block.size < Self.longestVector {
      worker.slots[slot] = worker.reallocate(block, size: block.size * 2)
    } else {
      worker.free(block)
    }
  }
}
