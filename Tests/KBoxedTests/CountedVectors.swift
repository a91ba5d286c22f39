// What the tests of vectors share: vectors of elements that are counted, in allocators that keep a log.

import AllocatorTesting
import KBoxed

typealias Tracked = TrackingAllocator<Kmalloc>

func tracked() -> Tracked { TrackingAllocator(Kmalloc()) }

/// The names of a vector's elements.
func names<A: Allocator>(_ vector: borrowing Vec<Counted, A>) -> [Int] {
  vector.indices.map { vector[$0].name }
}

/// A vector of counted elements of these names.
func counted<A: Allocator>(_ names: some Sequence<Int>, _ lifetimes: Lifetimes, in allocator: A) throws -> Vec<
  Counted, A
> {
  var vector = Vec<Counted, A>(in: allocator)
  for name in names { try vector.append(Counted(name, lifetimes)) }
  return vector
}

extension Vec where Element: ~Copyable {
  var address: UnsafePointer<Element>? { span.withUnsafeBufferPointer { $0.baseAddress } }
}

extension Vec {
  /// The elements as an array.
  func map<T>(_ transform: (Element) -> T) -> [T] { indices.map { transform(self[$0]) } }
}
