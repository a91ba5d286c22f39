// What a workload is. Each family has a file with a table of its workloads; `workloads(_:)` is all of them.
//
// Objects are not touched unless the workload says so: the figure is the allocator's alone. `kept` stands between the
// compiler and every pointer, so that no pair is removed. What a workload needs itself lies in tables straight from the
// kernel, set up before the clock starts.

import CBench

struct Workload {
  let family, name: String
  /// What one run measures, each as `NAME:UNIT`; the name may be empty. Less is better in each.
  let figures: [String]
  let body: Body
  /// Whether each run has a process of its own, so that it finds nothing that others have left.
  var isFresh: Bool

  enum Body {
    /// Runs a number of operations, a multiple of `unit`, and returns the nanoseconds they took: of the thread's own time
    /// where one thread works, of the clock on the wall where several do.
    case timed(unit: Int, (Int) -> UInt64)
    /// Runs once and returns the figures.
    case once(() -> [Double])
  }

  /// Time per operation. An operation is an allocation and its deallocation unless the family says something else.
  static func timed(
    _ family: String, _ name: String, unit: Int = 1, figure: String = ":ns", isFresh: Bool = false,
    _ run: @escaping (Int) -> UInt64
  ) -> Workload {
    Workload(family: family, name: name, figures: [figure], body: .timed(unit: unit, run), isFresh: isFresh)
  }

  static func once(_ family: String, _ name: String, _ figures: [String], _ run: @escaping () -> [Double]) -> Workload {
    Workload(family: family, name: name, figures: figures, body: .once(run), isFresh: true)
  }
}

func workloads<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  micro(allocator) + concurrent(allocator) + latency(allocator) + memory(allocator) + pages(allocator)
    + growth(allocator)
}

/// A size that is a constant in the specialised code.
enum Size<let bytes: Int> {}

/// `count` values in memory straight from the kernel.
struct Table<Value: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Value>
  let count: Int

  init(count: Int, zero: Value) {
    self.count = count
    base = bench_map(count * MemoryLayout<Value>.stride).bindMemory(to: Value.self, capacity: count)
    base.initialize(repeating: zero, count: count)
  }

  func unmap() { bench_unmap(base, count * MemoryLayout<Value>.stride) }

  @inline(__always)
  subscript(index: Int) -> Value {
    get { base[index] }
    nonmutating set { base[index] = newValue }
  }
}

/// Marsaglia's xorshift: the same numbers in every run.
struct Random {
  private var state: UInt64

  init(seed: Int) { state = (UInt64(truncatingIfNeeded: seed) &+ 1) &* 0x9E37_79B9_7F4A_7C15 }

  @inline(__always)
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  /// Less than `bound`.
  @inline(__always)
  mutating func below(_ bound: Int) -> Int { Int(((next() >> 32) &* UInt64(bound)) >> 32) }
}

/// `0..<count` in an order without order.
func permutation(of count: Int) -> Table<Int> {
  let order = Table(count: count, zero: 0)
  var random = Random(seed: count)
  for index in 0..<count { order[index] = index }
  for index in stride(from: count - 1, to: 0, by: -1) {
    let other = random.below(index + 1)
    (order[index], order[other]) = (order[other], order[index])
  }
  return order
}

/// Sizes drawn so that each doubling is as frequent as any other: `least ..< most` bytes.
func mixedSizes(_ least: Int, _ most: Int, count: Int = 1024) -> Table<Int> {
  let sizes = Table(count: count, zero: 0)
  var random = Random(seed: least + most)
  let doublings = (most / least).trailingZeroBitCount
  for index in 0..<count {
    let floor = least << random.below(doublings)
    sizes[index] = floor + random.below(floor)
  }
  return sizes
}
