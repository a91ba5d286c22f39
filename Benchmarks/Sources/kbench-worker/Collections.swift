// What a program sees of it: vectors and boxes beside those of the standard library and of swift-collections, which take
// their memory from `malloc`. One thread.

import BasicContainers
import CBench
import KBoxed

/// A growing vector of integers.
protocol BenchVector: ~Copyable {
  init()
  mutating func add(_ value: Int)
  mutating func reserve(_ count: Int)
  /// Some element, so that the vector is used.
  var last: Int { get }
}

/// A value of 48 bytes on the heap.
protocol BenchBox: ~Copyable {
  init(_ value: Payload)
  var first: Int { get }
}

struct Payload {
  var words: (Int, Int, Int, Int, Int, Int)
  init(_ first: Int) { words = (first, 0, 0, 0, 0, 0) }
}

struct KVector: BenchVector, ~Copyable {
  private var elements = KVec<Int>()
  init() {}
  @inline(__always)
  mutating func add(_ value: Int) {
    do { try elements.append(value) } catch { bench_fail(1, "no memory for a vector") }
  }
  mutating func reserve(_ count: Int) {
    do { try elements.reserve(count) } catch { bench_fail(1, "no memory for a vector") }
  }
  var last: Int { elements[elements.count - 1] }
}

struct StandardVector: BenchVector, ~Copyable {
  private var elements: [Int] = []
  init() {}
  @inline(__always)
  mutating func add(_ value: Int) { elements.append(value) }
  mutating func reserve(_ count: Int) { elements.reserveCapacity(count) }
  var last: Int { elements[elements.count - 1] }
}

struct UniqueVector: BenchVector, ~Copyable {
  private var elements = UniqueArray<Int>()
  init() {}
  @inline(__always)
  mutating func add(_ value: Int) { elements.append(value) }
  mutating func reserve(_ count: Int) { elements.reserveCapacity(count) }
  var last: Int { elements[elements.count - 1] }
}

struct KBoxed: BenchBox, ~Copyable {
  private let box: KBox<Payload>
  @inline(__always)
  init(_ value: Payload) {
    do { box = try KBox(value) } catch { bench_fail(1, "no memory for a box") }
  }
  var first: Int { box.value.words.0 }
}

struct Instance: BenchBox, ~Copyable {
  private final class Object {
    let value: Payload
    init(_ value: Payload) { self.value = value }
  }
  private let object: Object
  @inline(__always)
  init(_ value: Payload) {
    object = Object(value)
    bench_keep(Unmanaged.passUnretained(object).toOpaque())  // Or it would be made on the stack.
  }
  var first: Int { object.value.words.0 }
}

func vectors<V: BenchVector & ~Copyable>(_: V.Type) -> [Workload] {
  func append(_ name: String, _ count: Int, isReserved: Bool = false) -> Workload {
    .timed("collections", name, unit: count, figure: ":ns/element") { operations in
      bench_pin(0)
      return appends(V.self, count, isReserved, operations)
    }
  }
  return [
    append("append-16", 16), append("append-1000", 1000), append("append-1000-reserved", 1000, isReserved: true),
    append("append-1000000", 1_000_000),
  ]
}

func boxes<B: BenchBox & ~Copyable>(_: B.Type) -> [Workload] {
  [
    .timed("collections", "box-pair") { operations in
      bench_pin(0)
      return boxPairs(B.self, operations)
    },
    .timed("collections", "boxes-900", unit: 900) { operations in
      bench_pin(0)
      return boxBatch(B.self, operations)
    },
  ]
}

/// Vectors of `count` elements, one after the other, each grown from nothing.
@inline(never)
private func appends<V: BenchVector & ~Copyable>(
  _: V.Type, _ count: Int, _ isReserved: Bool, _ operations: Int
) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for _ in 0..<(operations / count) {
    var vector = V()
    if isReserved { vector.reserve(count) }
    for value in 0..<count { vector.add(value) }
    bench_keep(UnsafeRawPointer(bitPattern: vector.last))
  }
  return bench_thread_nanoseconds() - start
}

@inline(never)
private func boxPairs<B: BenchBox & ~Copyable>(_: B.Type, _ operations: Int) -> UInt64 {
  let start = bench_thread_nanoseconds()
  for value in 0..<operations { use(B(Payload(value))) }
  return bench_thread_nanoseconds() - start
}

/// 900 live at once.
@inline(never)
private func boxBatch<B: BenchBox & ~Copyable>(_: B.Type, _ operations: Int) -> UInt64 {
  let boxes = UnsafeMutablePointer<B>.allocate(capacity: 900)
  defer { boxes.deallocate() }
  let start = bench_thread_nanoseconds()
  for _ in 0..<(operations / 900) {
    for index in 0..<900 { (boxes + index).initialize(to: B(Payload(index))) }
    for index in 0..<900 { use((boxes + index).move()) }
  }
  return bench_thread_nanoseconds() - start
}

/// Behind a call, so that the box is really made.
@inline(never)
private func use<B: BenchBox & ~Copyable>(_ box: consuming B) {
  bench_keep(UnsafeRawPointer(bitPattern: box.first))
}
