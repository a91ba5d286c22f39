// Several threads, at 1, 2 and 4 times as many as CPUs. Times are the wall clock's, over all operations of all threads:
// perfect scaling leaves them where they are.

import CBench

/// What each thread does at least, so that starting together does not count.
let portion = 1000

func concurrent<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  let sizes = mixedSizes(16, 1024)
  var all: [Workload] = []
  func add(_ name: String, unit: Int, _ run: @escaping (Int) -> UInt64) {
    all.append(.timed("concurrent", name, unit: unit, run))
  }
  for times in [1, 2, 4] {
    let threads = cpus * times
    add("independent-\(times)x", unit: threads * portion) { independent(allocator, threads, sizes, $0) }
  }
  for times in [1, 2, 4] {
    let pairs = max(1, cpus * times / 2)
    add("producer-consumer-\(times)x", unit: pairs * 1024) { producerConsumer(allocator, pairs, $0) }
  }
  add("empty-exchange-64", unit: 64 * portion) { emptyExchange(64, $0) }
  for threads in [2, 64] { add("exchange-\(threads)", unit: threads * portion) { exchange(allocator, threads, $0) } }
  for times in [1, 2, 4] {
    let threads = cpus * times
    add("larson-\(times)x", unit: threads * portion) { larson(allocator, threads, sizes, $0) }
  }
  for times in [1, 2, 4] {
    let threads = cpus * times
    add("thread-churn-\(times)x", unit: threads * shortLife) { threadChurn(allocator, threads, sizes, $0) }
  }
  return all
}

/// The blocks of a thread: `count` of them, one replaced at a time.
struct Slots {
  private let blocks: Table<UnsafeMutableRawPointer?>
  private let lengths: Table<Int>
  private let sizes: Table<Int>

  init(count: Int, sizes: Table<Int>) {
    blocks = Table(count: count, zero: nil)
    lengths = Table(count: count, zero: 0)
    self.sizes = sizes
  }

  /// A block at random is freed, and another, of a size at random, takes its place; its first word is written.
  @inline(__always)
  func replace<A: BenchAllocator>(_: A.Type, _ random: inout Random) {
    let index = random.below(blocks.count)
    if let block = blocks[index] { A.deallocate(block, lengths[index]) }
    let size = sizes[random.below(sizes.count)]
    let block = kept(A.allocate(size))
    block.storeBytes(of: 1, as: UInt64.self)
    blocks[index] = block
    lengths[index] = size
  }

  func end<A: BenchAllocator>(_: A.Type) {
    for index in 0..<blocks.count {
      if let block = blocks[index] { A.deallocate(block, lengths[index]) }
    }
    blocks.unmap()
    lengths.unmap()
  }
}

/// Each thread replaces its own 1,000 blocks.
@inline(never)
func independent<A: BenchAllocator>(_: A.Type, _ threads: Int, _ sizes: Table<Int>, _ operations: Int) -> UInt64 {
  let slots = (0..<threads).map { _ in Slots(count: 1000, sizes: sizes) }
  let time = concurrently(threads) { thread in
    var random = Random(seed: thread)
    for _ in 0..<(operations / threads) { slots[thread].replace(A.self, &random) }
  }
  for slots in slots { slots.end(A.self) }
  return time
}

/// Half of the threads allocate 64 bytes and write a word; each has another one that reads it and frees.
@inline(never)
private func producerConsumer<A: BenchAllocator>(_: A.Type, _ pairs: Int, _ operations: Int) -> UInt64 {
  let rings = (0..<pairs).map { _ in bench_ring_create() }
  defer { for ring in rings { bench_ring_destroy(ring) } }
  let count = UInt64(operations / pairs)
  return concurrently(2 * pairs) { thread in
    let ring = rings[thread / 2]
    if thread % 2 == 0 {
      for position in 0..<count {
        let block = kept(A.allocate(64))
        block.storeBytes(of: position, as: UInt64.self)
        bench_ring_put(ring, position, block)
      }
      bench_ring_close(ring, count)
    } else {
      for position in 0..<count {
        let block = bench_ring_take(ring, position)
        guard block.load(as: UInt64.self) == position else { bench_fail(1, "an object does not hold its number") }
        A.deallocate(block, 64)
      }
    }
  }
}

/// Every thread puts new objects of 64 bytes into 4,096 shared places and frees what was there, whoever made it.
@inline(never)
private func exchange<A: BenchAllocator>(_: A.Type, _ threads: Int, _ operations: Int) -> UInt64 {
  let places = Table(count: 4096, zero: UInt64(0))
  @inline(__always)
  func put(_ block: UInt64, _ index: Int) {
    let old = bench_swap(places.base + index, block)
    guard let object = UnsafeMutableRawPointer(bitPattern: UInt(old)) else { return }
    guard object.load(as: UInt64.self) == UInt64(index) else { bench_fail(1, "an object does not hold its number") }
    A.deallocate(object, 64)
  }
  let time = concurrently(threads) { thread in
    var random = Random(seed: thread)
    for _ in 0..<(operations / threads) {
      let index = random.below(places.count)
      let block = kept(A.allocate(64))
      block.storeBytes(of: UInt64(index), as: UInt64.self)
      put(UInt64(UInt(bitPattern: block)), index)
    }
  }
  for index in 0..<places.count { put(0, index) }
  places.unmap()
  return time
}

/// The same without an allocator: each thread puts one of 64 objects of its own, between two calls that do nothing. The floor of
/// every exchange behind calls in the same run.
@inline(never)
private func emptyExchange(_ threads: Int, _ operations: Int) -> UInt64 {
  let places = Table(count: 4096, zero: UInt64(0))
  let objects = Table(count: threads * 64 * 8, zero: UInt64(0))
  let time = concurrently(threads) { thread in
    var random = Random(seed: thread)
    for operation in 0..<(operations / threads) {
      let index = random.below(places.count)
      bench_keep(bench_empty_allocate(64))
      let block = UnsafeMutableRawPointer(objects.base + (thread * 64 + operation & 63) * 8)
      block.storeBytes(of: UInt64(index), as: UInt64.self)
      let old = bench_swap(places.base + index, UInt64(UInt(bitPattern: block)))
      guard let object = UnsafeMutableRawPointer(bitPattern: UInt(old)) else { continue }
      guard object.load(as: UInt64.self) < 4096 else { bench_fail(1, "an object does not hold a number") }
      bench_empty_free(object, 64)
    }
  }
  places.unmap()
  objects.unmap()
  return time
}

/// Larson's server: threads replace blocks; when they have made 50,000 they end, and new threads go on, each with the blocks
/// that another one has left. Making the threads counts.
@inline(never)
private func larson<A: BenchAllocator>(_: A.Type, _ threads: Int, _ sizes: Table<Int>, _ operations: Int) -> UInt64 {
  let slots = (0..<threads).map { _ in Slots(count: 1000, sizes: sizes) }
  var left = operations / threads
  var generation = 0
  let start = bench_nanoseconds()
  while left > 0 {
    let count = min(left, 50_000)
    let crew = (0..<threads).map { thread in
      Thread { [generation] in
        let own = slots[(thread + generation) % threads]
        var random = Random(seed: thread + generation * threads)
        for _ in 0..<count { own.replace(A.self, &random) }
      }
    }
    for thread in crew { thread.join() }
    left -= count
    generation += 1
  }
  let time = bench_nanoseconds() - start
  for slots in slots { slots.end(A.self) }
  return time
}

/// What a thread of `thread-churn` allocates in its life.
private let shortLife = 256

/// Threads that live for 256 allocations, 32 at a time of mixed sizes, `threads` of them at once. Making them counts.
@inline(never)
private func threadChurn<A: BenchAllocator>(
  _: A.Type, _ threads: Int, _ sizes: Table<Int>, _ operations: Int
) -> UInt64 {
  let start = bench_nanoseconds()
  for _ in 0..<(operations / (threads * shortLife)) {
    let crew = (0..<threads).map { thread in
      Thread {
        withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: 32) { blocks in
          for round in 0..<(shortLife / 32) {
            let first = thread &* 61 &+ round &* 32
            for index in 0..<32 { blocks[index] = kept(A.allocate(sizes[(first &+ index) & 1023])) }
            for index in 0..<32 { A.deallocate(blocks[index], sizes[(first &+ index) & 1023]) }
          }
        }
      }
    }
    for thread in crew { thread.join() }
  }
  return bench_nanoseconds() - start
}
