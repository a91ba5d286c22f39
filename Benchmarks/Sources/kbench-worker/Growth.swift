// Cost as the work grows: what should stay flat. A name is SERIES/AMOUNT.

import CBench

func growth<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  var all: [Workload] = []
  for objects in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
    let live = Live(allocator, count: objects, size: 64)
    all.append(.timed("growth", "live objects/\(objects)", unit: 64, isFresh: true) { live.replace($0, 64) })
  }
  let sizes = mixedSizes(16, 1024)
  for threads in [1, 2, 4, 16, 64, 256] {
    all.append(
      .timed("growth", "threads/\(threads)", unit: threads * portion, isFresh: true) {
        independent(allocator, threads, sizes, $0)
      })
  }
  // Blocks that are not touched: what the program does with them is the same for all.
  for mebibytes in [1, 16, 256, 1024, 8192] {
    let live = Live(allocator, count: mebibytes * 16, size: 65536)
    all.append(.timed("growth", "heap MiB/\(mebibytes)", unit: 8, isFresh: true) { live.replace($0, 8) })
  }
  return all
}

/// A number of live objects of one size, made before the clock first starts.
private final class Live<A: BenchAllocator> {
  private let count, size: Int
  private var objects: Table<UnsafeMutableRawPointer?>?
  private var random = Random(seed: 3)

  init(_: A.Type, count: Int, size: Int) {
    self.count = count
    self.size = size
  }

  private func make() -> Table<UnsafeMutableRawPointer?> {
    let objects = Table<UnsafeMutableRawPointer?>(count: count, zero: nil)
    // At random places, so that neighbours in the table are none in memory.
    let order = permutation(of: count)
    for index in 0..<count { objects[order[index]] = kept(A.allocate(size)) }
    order.unmap()
    self.objects = objects
    return objects
  }

  /// `run` objects that stand together in the table are freed, and as many allocated; where, is drawn at random.
  @inline(never)
  func replace(_ operations: Int, _ run: Int) -> UInt64 {
    bench_pin(0)
    let objects = self.objects ?? make()
    let start = bench_thread_nanoseconds()
    for _ in 0..<(operations / run) {
      let first = random.below(count - run + 1)
      for index in first..<(first + run) { A.deallocate(objects[index].unsafelyUnwrapped, size) }
      for index in first..<(first + run) { objects[index] = kept(A.allocate(size)) }
    }
    return bench_thread_nanoseconds() - start
  }
}
