/// Churn at the page level: blocks of all orders, each aligned to its own size.
struct Pages<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]
  private let orders: ClosedRange<Int>

  init(_ run: RunContext<Tested>) {
    workers = ScenarioName.pages.workers(run, count: run.options.threads, slots: max(16, 1024 / run.options.threads))
    orders = run.allocator.pageOrders
  }

  func step(_ worker: Worker<Tested>) { Self.step(worker, orders) }

  static func step(_ worker: Worker<Tested>, _ orders: ClosedRange<Int>) {
    let slot = worker.random.below(min(worker.slots.count, 1024))
    // Small orders are the common ones; one in 16 is any order, the largest as likely as the smallest.
    let halving = min(orders.lowerBound + worker.random.next().trailingZeroBitCount, orders.upperBound)
    let uniform = orders.lowerBound + worker.random.below(orders.count)
    let order = worker.random.once(in: 16) ? uniform : halving
    let block = worker.slots[slot]
    worker.slots[slot] = .none
    if block.exists { worker.free(block) } else { worker.slots[slot] = worker.allocatePages(order: order) }
  }
}
