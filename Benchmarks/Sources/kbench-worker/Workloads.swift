// The workloads. Each runs a number of operations (one operation is an allocation and its deallocation) and returns the
// nanoseconds that they took: of the thread's own time where one thread works, of the clock on the wall where several do.
// What a workload needs itself is set up before the clock starts.
//
// Objects are not touched unless the workload says so: the figure is the allocator's alone. `bench_keep` stands between
// the compiler and every pointer, so that no pair is removed.

import CBench
import Glibc

/// A size that is a constant in the specialised code.
protocol ConstantSize { static var bytes: Int { get } }
enum Bytes64: ConstantSize { @inline(__always) static var bytes: Int { 64 } }

struct Workload {
  let name: String
  /// The operations of a run are a multiple of this.
  let unit: Int
  let run: (Int) -> UInt64
}

func workloads<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  let shuffled = permutation(of: 900, seed: 0x9E37_79B9_7F4A_7C15)
  return [
    Workload(name: "pair", unit: 1) { pair(allocator, Bytes64.self, $0) },
    Workload(name: "lifo-64", unit: 64) { batch(allocator, Bytes64.self, Array((0..<64).reversed()), $0) },
    Workload(name: "random-900", unit: 900) { batch(allocator, Bytes64.self, shuffled, $0) },
    Workload(name: "producer-consumer", unit: 64) { producerConsumer(allocator, Bytes64.self, $0) },
  ]
}

@inline(__always)
private func take<A: BenchAllocator>(_: A.Type, _ size: Int) -> UnsafeMutableRawPointer {
  guard let block = A.allocate(size) else { bench_fail(1, "an allocation of \(size) bytes was refused") }
  bench_keep(block)
  return block
}

/// One object at a time.
@inline(never)
private func pair<A: BenchAllocator, S: ConstantSize>(_: A.Type, _: S.Type, _ operations: Int) -> UInt64 {
  bench_pin(0)
  let start = bench_thread_nanoseconds()
  for _ in 0..<operations {
    A.deallocate(take(A.self, S.bytes), S.bytes)
  }
  return bench_thread_nanoseconds() - start
}

/// As many objects as `order` has entries, then all of them freed in that order.
@inline(never)
private func batch<A: BenchAllocator, S: ConstantSize>(
  _: A.Type, _: S.Type, _ order: [Int], _ operations: Int
) -> UInt64 {
  bench_pin(0)
  let count = order.count
  return withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: count) { objects in
    order.withUnsafeBufferPointer { order in
      let start = bench_thread_nanoseconds()
      for _ in 0..<(operations / count) {
        for index in 0..<count { objects.baseAddress.unsafelyUnwrapped[index] = take(A.self, S.bytes) }
        for index in order { A.deallocate(objects.baseAddress.unsafelyUnwrapped[index], S.bytes) }
      }
      return bench_thread_nanoseconds() - start
    }
  }
}

/// One thread allocates and writes a word; another reads it and frees. Each has a CPU of its own where there are two.
@inline(never)
private func producerConsumer<A: BenchAllocator, S: ConstantSize>(
  _: A.Type, _: S.Type, _ operations: Int
) -> UInt64 {
  let ring = bench_ring_create()
  defer { bench_ring_destroy(ring) }
  let start = bench_nanoseconds()
  let consumer = Thread {
    bench_pin(1)
    for position in 0..<UInt64(operations) {
      let block = bench_ring_take(ring, position)
      guard block.load(as: UInt64.self) == position else {
        bench_fail(1, "object \(position) does not hold its number")
      }
      A.deallocate(block, S.bytes)
    }
  }
  bench_pin(0)
  for position in 0..<UInt64(operations) {
    let block = take(A.self, S.bytes)
    block.storeBytes(of: position, as: UInt64.self)
    bench_ring_put(ring, position, block)
  }
  bench_ring_close(ring, UInt64(operations))
  consumer.join()
  return bench_nanoseconds() - start
}

private func permutation(of count: Int, seed: UInt64) -> [Int] {
  var state = seed
  var order = Array(0..<count)
  for index in stride(from: count - 1, to: 0, by: -1) {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    order.swapAt(index, Int(state % UInt64(index + 1)))
  }
  return order
}
