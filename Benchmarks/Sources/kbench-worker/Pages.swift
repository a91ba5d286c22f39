// Pages by order. An allocator that has none is asked for an aligned block of that size. Pages are not touched.

import CBench
import Slab

func pages<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  let order = permutation(of: 10_000)
  var all: [Workload] = [
    .timed("pages", "pages-0-pair") { operations in
      bench_pin(0)
      let start = bench_thread_nanoseconds()
      pagePairs(allocator, operations)
      return bench_thread_nanoseconds() - start
    },
    .timed("pages", "pages-0-random-10000", unit: order.count, figure: ":ns/page") { operations in
      bench_pin(0)
      return pageBatch(allocator, order, operations)
    },
    .timed("pages", "pages-mixed") { operations in
      bench_pin(0)
      let start = bench_thread_nanoseconds()
      mixedPages(allocator, seed: 0, operations)
      return bench_thread_nanoseconds() - start
    },
  ]
  for (name, threads) in [("1x", cpus), ("64", 64)] {
    all.append(
      .timed("pages", "pages-0-pair-\(name)", unit: threads * portion) { operations in
        concurrently(threads) { _ in pagePairs(allocator, operations / threads) }
      })
    all.append(
      .timed("pages", "pages-mixed-\(name)", unit: threads * portion) { operations in
        concurrently(threads) { mixedPages(allocator, seed: $0, operations / threads) }
      })
  }
  guard A.isHeap else { return all }
  let figures = [
    "free memory not usable as 2 MiB, half freed:%", "the same after random churn:%",
    "largest free run, orders below 2 MiB:orders",
  ]
  return all + [.once("pages", "pages-fragmentation", figures) { fragmentation() }]
}

@inline(never)
private func pagePairs<A: BenchAllocator>(_: A.Type, _ operations: Int) {
  for _ in 0..<operations { A.deallocatePages(kept(A.allocatePages(0)), 0) }
}

@inline(never)
private func pageBatch<A: BenchAllocator>(_: A.Type, _ order: Table<Int>, _ operations: Int) -> UInt64 {
  let blocks = Table<UnsafeMutableRawPointer?>(count: order.count, zero: nil)
  defer { blocks.unmap() }
  let start = bench_thread_nanoseconds()
  for _ in 0..<(operations / order.count) {
    for index in 0..<order.count { blocks[index] = kept(A.allocatePages(0)) }
    for index in 0..<order.count { A.deallocatePages(blocks[order[index]].unsafelyUnwrapped, 0) }
  }
  return bench_thread_nanoseconds() - start
}

/// One of 64 runs at random is replaced by another of order 0 to 9, each order half as frequent as the one below.
@inline(never)
private func mixedPages<A: BenchAllocator>(_: A.Type, seed: Int, _ operations: Int) {
  let runs = Table<UnsafeMutableRawPointer?>(count: 64, zero: nil)
  let orders = Table(count: 64, zero: 0)
  var random = Random(seed: seed)
  for _ in 0..<operations {
    let index = random.below(runs.count)
    if let run = runs[index] { A.deallocatePages(run, orders[index]) }
    let order = min(9, random.next().trailingZeroBitCount)
    runs[index] = kept(A.allocatePages(order))
    orders[index] = order
  }
  for index in 0..<runs.count {
    if let run = runs[index] { A.deallocatePages(run, orders[index]) }
  }
  runs.unmap()
  orders.unmap()
}

/// 512 MiB of single pages in a heap of its own: half of them are freed at random, which leaves hardly a free run of 2 MiB;
/// then pages are freed and allocated at random, twice as many as there are. A good allocator fills what is nearly full.
private func fragmentation() -> [Double] {
  var configuration = HeapConfiguration()
  configuration.limit = 1 << 30
  guard let heap = try? Heap.create(configuration) else { bench_fail(1, "a heap of its own was refused") }
  var count = (512 << 20) / 4096
  let blocks = Table<UnsafeMutableRawPointer?>(count: count, zero: nil)
  for index in 0..<count { blocks[index] = kept(try? heap.allocatePages(order: 0)) }
  var random = Random(seed: 2)
  func free() {
    let index = random.below(count)
    heap.deallocatePages(blocks[index].unsafelyUnwrapped, order: 0)
    count -= 1
    blocks[index] = blocks[count]
  }
  func look() -> (unusable: Double, order: Int) {
    heap.drain()
    let pages = heap.statistics().pages
    let whole = pages.freeByOrder[9] << 9
    let largest = (0...9).last { pages.freeByOrder[$0] > 0 } ?? 0
    return (100 * (1 - Double(whole) / Double(max(pages.freeFrames, 1))), largest)
  }
  for _ in 0..<(blocks.count / 2) { free() }
  let halved = look()
  for _ in 0..<(2 * blocks.count) {
    free()
    blocks[count] = kept(try? heap.allocatePages(order: 0))
    count += 1
  }
  let churned = look()
  while count > 0 { free() }
  guard heap.destroy() else { bench_fail(1, "pages were lost") }
  return [halved.unusable, churned.unusable, Double(9 - churned.order)]
}
