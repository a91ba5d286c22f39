// One thread: pairs, batches, mixed sizes, zeroed memory, growing blocks, aligned blocks. Times are the thread's own.

import CBench

func micro<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  func timed(_ name: String, unit: Int = 1, figure: String = ":ns", _ run: @escaping (Int) -> UInt64) -> Workload {
    .timed("micro", name, unit: unit, figure: figure) { operations in
      bench_pin(0)
      return run(operations)
    }
  }
  var all = [
    timed("empty-calls") { emptyCalls($0) },
    timed("pair-16") { pair(allocator, Size<16>.self, $0) },
    timed("pair-64") { pair(allocator, Size<64>.self, $0) },
    timed("pair-256") { pair(allocator, Size<256>.self, $0) },
    timed("pair-1KiB") { pair(allocator, Size<1024>.self, $0) },
    timed("pair-4KiB") { pair(allocator, Size<4096>.self, $0) },
    timed("pair-32KiB") { pair(allocator, Size<32768>.self, $0) },
    timed("pair-256KiB") { pair(allocator, Size<262_144>.self, $0) },
    timed("pair-1MiB") { pair(allocator, Size<1_048_576>.self, $0) },
  ]
  for count in [64, 900, 10_000] {
    let orders = [
      ("lifo", { index in count - 1 - index }), ("fifo", { index in index }),
      ("random", { [order = permutation(of: count)] index in order[index] }),
    ]
    for (name, order) in orders {
      let table = Table(count: count, zero: 0)
      for index in 0..<count { table[index] = order(index) }
      all.append(timed("\(name)-\(count)", unit: count) { batch(allocator, Size<64>.self, table, $0) })
    }
  }
  let sizes = mixedSizes(16, 8192)
  for count in [900, 10_000] {
    let order = permutation(of: count)
    all.append(timed("mixed-\(count)", unit: count) { mixedBatch(allocator, sizes, order, $0) })
  }
  for (name, size) in [("64", 64), ("4KiB", 4096), ("1MiB", 1 << 20)] {
    all.append(timed("calloc-\(name)") { zeroedPair(allocator, size, $0) })
  }
  return all + [
    timed("realloc-doubling-64KiB") { growth(allocator, to: 64 << 10, $0) { $0 * 2 } },
    timed("realloc-by-16-to-4KiB") { growth(allocator, to: 4096, $0) { $0 + 16 } },
    timed("realloc-to-100MiB", figure: ":ms/vector") { growth(allocator, to: 100 << 20, $0) { $0 * 2 } },
    timed("realloc-by-half-to-100MiB", figure: ":ms/vector") { growth(allocator, to: 100 << 20, $0) { $0 * 3 / 2 } },
    timed("aligned-pair-4KiB") { alignedPair(allocator, $0) },
    timed("aligned-churn-4KiB") { alignedChurn(allocator, $0) },
  ]
}

/// One object at a time.
@inline(never)
private func pair<A: BenchAllocator, let size: Int>(_: A.Type, _: Size<size>.Type, _ operations: Int) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations { A.deallocate(kept(A.allocate(size)), size) }
  return bench_thread_nanoseconds() - start
}

/// A pair of calls that do nothing, whatever the allocator: the floor of every called pair in the same run.
@inline(never)
private func emptyCalls(_ operations: Int) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations { bench_empty_free(kept(bench_empty_allocate(64)), 64) }
  return bench_thread_nanoseconds() - start
}

/// As many objects as `order` has entries, then all of them freed in that order.
@inline(never)
private func batch<A: BenchAllocator, let size: Int>(
  _: A.Type, _: Size<size>.Type, _ order: Table<Int>, _ operations: Int
) -> UInt64 {
  let objects = Table<UnsafeMutableRawPointer?>(count: order.count, zero: nil)
  defer { objects.unmap() }
  let start = bench_thread_nanoseconds()
  for _ in 0..<(operations / order.count) {
    for index in 0..<order.count { objects[index] = kept(A.allocate(size)) }
    for index in 0..<order.count { A.deallocate(objects[order[index]].unsafelyUnwrapped, size) }
  }
  return bench_thread_nanoseconds() - start
}

/// The same with sizes that only the run knows.
@inline(never)
private func mixedBatch<A: BenchAllocator>(
  _: A.Type, _ sizes: Table<Int>, _ order: Table<Int>, _ operations: Int
) -> UInt64 {
  let objects = Table<UnsafeMutableRawPointer?>(count: order.count, zero: nil)
  defer { objects.unmap() }
  let start = bench_thread_nanoseconds()
  for _ in 0..<(operations / order.count) {
    for index in 0..<order.count { objects[index] = kept(A.allocate(sizes[index & 1023])) }
    for index in 0..<order.count {
      let object = order[index]
      A.deallocate(objects[object].unsafelyUnwrapped, sizes[object & 1023])
    }
  }
  return bench_thread_nanoseconds() - start
}

@inline(never)
private func zeroedPair<A: BenchAllocator>(_: A.Type, _ size: Int, _ operations: Int) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations { A.deallocate(kept(A.allocateZeroed(size)), size) }
  return bench_thread_nanoseconds() - start
}

/// A vector that grows from 16 bytes to `most` and is filled on the way: a byte in each new page.
@inline(never)
private func growth<A: BenchAllocator>(
  _: A.Type, to most: Int, _ operations: Int, _ next: (Int) -> Int
) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations {
    var size = 16
    var block = kept(A.allocate(size))
    var filled = 0
    while true {
      while filled < size {
        block.storeBytes(of: 1, toByteOffset: filled, as: UInt8.self)
        filled += 4096
      }
      if size >= most { break }
      let newSize = min(next(size), most)
      block = kept(A.reallocate(block, size, newSize))
      size = newSize
    }
    A.deallocate(block, size)
  }
  return bench_thread_nanoseconds() - start
}

@inline(never)
private func alignedPair<A: BenchAllocator>(_: A.Type, _ operations: Int) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations { A.deallocate(kept(A.allocate(4096, alignment: 4096)), 4096, alignment: 4096) }
  return bench_thread_nanoseconds() - start
}

/// One of 1,000 at random is replaced.
@inline(never)
private func alignedChurn<A: BenchAllocator>(_: A.Type, _ operations: Int) -> UInt64 {
  let blocks = Table<UnsafeMutableRawPointer?>(count: 1000, zero: nil)
  for index in 0..<blocks.count { blocks[index] = kept(A.allocate(4096, alignment: 4096)) }
  var random = Random(seed: 1)
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations {
    let index = random.below(blocks.count)
    A.deallocate(blocks[index].unsafelyUnwrapped, 4096, alignment: 4096)
    blocks[index] = kept(A.allocate(4096, alignment: 4096))
  }
  let time = bench_thread_nanoseconds() - start
  for index in 0..<blocks.count { A.deallocate(blocks[index].unsafelyUnwrapped, 4096, alignment: 4096) }
  blocks.unmap()
  return time
}
