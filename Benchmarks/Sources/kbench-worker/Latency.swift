// How long single operations take while twice as many threads as CPUs make them: the tail is what a program waits for.
//
// Each call is timed by itself, with one reading of the clock in it. A thread that loses its CPU within a call counts as
// that call's time, as it does for the program.

import CBench
import Histogram

func latency<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  let figures = ["p50:ns", "p99:ns", "p99.9:ns", "p99.99:ns", "max:ns"]
  return [
    .once("latency", "latency-2x", figures) { percentiles(allocator, threads: 2 * cpus, operations: 400_000) }
  ]
}

private typealias Times = Histogram<UInt64>

@inline(never)
private func percentiles<A: BenchAllocator>(_: A.Type, threads: Int, operations: Int) -> [Double] {
  let histograms = UnsafeMutablePointer<Times>.allocate(capacity: threads)
  for thread in 0..<threads {
    (histograms + thread).initialize(
      to: Times(highestTrackableValue: 10_000_000_000, numberOfSignificantValueDigits: .three))
  }
  let sizes = mixedSizes(16, 4096)
  _ = concurrently(threads) { thread in
    timeCalls(A.self, seed: thread, sizes, operations: operations / 10, nil)
    timeCalls(A.self, seed: thread, sizes, operations: operations, histograms + thread)
  }
  var all = histograms[0]
  for thread in 1..<threads { all.add(histograms[thread]) }
  return [50, 99, 99.9, 99.99].map { Double(all.valueAtPercentile($0)) } + [Double(all.maxRecorded)]
}

/// One of 10,000 blocks at random is replaced, again and again.
private func timeCalls<A: BenchAllocator>(
  _: A.Type, seed: Int, _ sizes: Table<Int>, operations: Int, _ times: UnsafeMutablePointer<Times>?
) {
  let blocks = Table<UnsafeMutableRawPointer?>(count: 10_000, zero: nil)
  let lengths = Table(count: 10_000, zero: 0)
  var random = Random(seed: seed)
  for _ in 0..<operations {
    let index = random.below(blocks.count)
    let size = sizes[random.below(sizes.count)]
    if let block = blocks[index] {
      let start = bench_nanoseconds()
      A.deallocate(block, lengths[index])
      times?.pointee.record(bench_nanoseconds() - start)
    }
    let start = bench_nanoseconds()
    let block = kept(A.allocate(size))
    times?.pointee.record(bench_nanoseconds() - start)
    block.storeBytes(of: 1, as: UInt64.self)
    blocks[index] = block
    lengths[index] = size
  }
  for index in 0..<blocks.count {
    if let block = blocks[index] { A.deallocate(block, lengths[index]) }
  }
  blocks.unmap()
  lengths.unmap()
}
