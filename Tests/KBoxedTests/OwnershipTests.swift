// Owners end what they own wherever they are kept: see `DeinitAnchor` for why that has to be tested at all.

import AllocatorTesting
import KBoxed
import Synchronization
import Testing

private struct Holder: ~Copyable {
  var box: KBox<Counted>
  var number = 1
}

private struct GenericHolder<T: ~Copyable, U>: ~Copyable {
  var other: U
  var kept: T
}

private enum Choice<T: ~Copyable>: ~Copyable {
  case kept(T)
  case number(Int)
}

private final class Shelf<T: ~Copyable> {
  var kept: T
  init(_ kept: consuming T) { self.kept = kept }
}

@inline(never) private func drop<T: ~Copyable>(_ value: consuming T) {}
@inline(never) private func empty<T: ~Copyable>(_ place: inout T?) { place = nil }
@inline(never) private func replace<T: ~Copyable>(_ place: inout T, _ value: consuming T) { place = value }

@Suite struct OwnershipTests {
  /// Ends an owner in every place that destroys through the type's witnesses, `make` making owners of one value each.
  private func check<Owner: ~Copyable, A: GlobalAllocator>(
    _ lifetimes: Lifetimes, _: A, _ make: (Int) throws -> Owner
  ) throws {
    var expected: [Int] = []
    func ended(_ names: Int..., where place: Comment) {
      expected += names
      #expect(lifetimes.ended == expected, place)
    }
    do { _ = try make(1) }
    ended(1, where: "on the spot")
    drop(try make(2))
    ended(2, where: "consumed by generic code")
    var optional: Owner? = try make(3)
    optional = nil
    ended(3, where: "an optional set to nil")
    optional = try make(4)
    empty(&optional)
    ended(4, where: "an optional set to nil by generic code")
    var place = try make(5)
    replace(&place, try make(6))
    ended(5, where: "replaced by generic code")
    drop(place)
    ended(6, where: "the replacement")
    drop(GenericHolder(other: "x", kept: try make(7)))
    ended(7, where: "in a generic struct")
    drop(Choice.kept(try make(8)))
    ended(8, where: "in a generic enum")
    do {
      let shelf = Shelf(try make(9))
      shelf.kept = try make(10)
      ended(9, where: "replaced in an object")
    }
    ended(10, where: "in an object")
    let row = UnsafeMutablePointer<Owner>.allocate(capacity: 2)
    for index in 0..<2 { (row + index).initialize(to: try make(11 + index)) }
    row.deinitialize(count: 2)
    row.deallocate()
    ended(11, 12, where: "in a row")
    let mutex = Mutex<Owner?>(try make(13))
    mutex.withLock { $0 = nil }
    ended(13, where: "behind a mutex")
    do {
      var vector = Vec<Owner, A>()
      for name in 14..<40 { try vector.append(try make(name)) }
      _ = vector.popLast()
      ended(39, where: "popped from a vector that has grown")
    }
    expected += 14..<39
    #expect(lifetimes.ended == expected, "in a vector")
    do { _ = try Box<Owner, A>(try make(40)) }
    ended(40, where: "in a box")
    #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty)
  }

  @Test func `a box ends its value wherever it is kept`() throws {
    func each<A: GlobalAllocator>(_ allocator: A) throws {
      let lifetimes = Lifetimes()
      try check(lifetimes, allocator) { try Box<Counted, A>(Counted($0, lifetimes)) }
      drop(Holder(box: try Box(Counted(41, lifetimes))))
      #expect(lifetimes.ended.last == 41)
    }
    try each(Kmalloc())
    try each(SystemAllocator())
  }

  @Test func `a vector ends its elements wherever it is kept`() throws {
    func each<A: GlobalAllocator>(_ allocator: A) throws {
      let lifetimes = Lifetimes()
      try check(lifetimes, allocator) { try counted([$0], lifetimes, in: allocator) }
    }
    try each(Kmalloc())
    try each(SystemAllocator())
  }

  @Test func `an iterator ends its elements wherever it is kept`() throws {
    let lifetimes = Lifetimes()
    try check(lifetimes, Kmalloc()) { try counted([$0], lifetimes, in: Kmalloc()).makeConsumingIterator() }
  }

  @Test func `memory without a value goes back wherever it is kept`() throws {
    // The allocator itself is counted here: it is no empty struct, so this shows the handling of such ones, too.
    let allocator = tracked()
    drop(Optional(try UninitBox<Int, Tracked>(in: allocator)))
    drop(GenericHolder(other: 1, kept: try UninitBox<Int, Tracked>(in: allocator)))
    #expect(allocator.log.live == 0 && allocator.log.frees == 2)
  }
}
