import AllocatorTesting
import KBoxed
import Testing

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

struct Empty: Equatable {}

@Suite struct VecTests {
  @Test func `a new vector takes no memory`() {
    let allocator = tracked()
    do {
      let vector = Vec<Int, Tracked>(in: allocator)
      #expect(vector.isEmpty && vector.isFull && vector.count == 0 && vector.capacity == 0)
      let empty = Vec<Empty, Tracked>(in: allocator)
      #expect(empty.capacity == .max && empty.freeCapacity == .max && !empty.isFull)
    }
    #expect(allocator.log.calls == 0)
  }

  @Test func `what is appended comes back from the end in reverse`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try counted(0..<100, lifetimes, in: allocator)
    #expect(names(vector) == Array(0..<100))
    for name in (50..<100).reversed() {
      let element = vector.popLast()!
      #expect(element.name == name)
    }
    #expect(vector.count == 50)
    #expect(lifetimes.live == 50)
    _ = consume vector
    #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty)
    #expect(allocator.log.live == 0 && allocator.log.violations.isEmpty)
  }

  @Test func `nothing is popped from an empty vector`() {
    var vector = Vec<Int, Kmalloc>()
    #expect(vector.popLast() == nil)
  }

  @Test func `insertion and removal keep the order`() throws {
    var random = SeededRandom.fresh()
    let lifetimes = Lifetimes()
    var vector = Vec<Counted, Kmalloc>()
    var model: [Int] = []
    for step in 0..<2000 {
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1:
        let position = Int.random(in: 0...model.count, using: &random)
        try vector.insert(Counted(step, lifetimes), at: position)
        model.insert(step, at: position)
      case 2:
        try vector.append(Counted(step, lifetimes))
        model.append(step)
      case 3 where !model.isEmpty:
        let position = Int.random(in: model.indices, using: &random)
        let element = try vector.remove(at: position)
        #expect(element.name == model.remove(at: position), "\(random.replay)")
      case 4 where !model.isEmpty:
        let position = Int.random(in: model.indices, using: &random)
        let element = try vector.swapRemove(at: position)
        model.swapAt(position, model.count - 1)
        #expect(element.name == model.removeLast(), "\(random.replay)")
      case 5 where model.count > 1:
        let pair = (Int.random(in: model.indices, using: &random), Int.random(in: model.indices, using: &random))
        vector.swapAt(pair.0, pair.1)
        model.swapAt(pair.0, pair.1)
      default: break
      }
      guard names(vector) == model, lifetimes.live == model.count else {
        Issue.record("step \(step): \(names(vector)) is not \(model); \(random.replay)")
        return
      }
    }
    #expect(lifetimes.violations.isEmpty == true)
  }

  @Test func `an index that names no element is answered by an error, and nothing changes`() throws {
    let lifetimes = Lifetimes()
    var vector = try counted(0..<3, lifetimes, in: Kmalloc())
    for index in [-1, 3, 4, Int.max, Int.min] {
      #expect(throws: IndexError.outOfRange) { _ = try vector.remove(at: index) }
      #expect(throws: IndexError.outOfRange) { _ = try vector.swapRemove(at: index) }
    }
    for index in [-1, 4, Int.max, Int.min] {
      #expect(throws: InsertError.indexOutOfRange) { try vector.insert(Counted(9, lifetimes), at: index) }
    }
    #expect(names(vector) == [0, 1, 2])
    #expect(lifetimes.ended == [9, 9, 9, 9])
  }

  @Test func `within capacity an element is stored or handed back, the index checked before the room`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = Vec<Counted, Tracked>(in: allocator)
    do {
      let outcome = vector.pushWithinCapacity(Counted(1, lifetimes))
      #expect(outcome.reason == .full && !outcome.isStored)
      let back = outcome.handedBack()!
      #expect(back.name == 1)
    }
    let refused = vector.pushLast(Counted(2, lifetimes))!
    #expect(refused.name == 2)
    for (index, reason) in [(-1, CapacityError.indexOutOfRange), (1, .indexOutOfRange), (0, .full)] {
      let outcome = vector.insertWithinCapacity(Counted(3, lifetimes), at: index)
      #expect(outcome.reason == reason)
    }
    #expect(allocator.log.calls == 0)
    try vector.reserveCapacity(4)
    let calls = allocator.log.calls
    let stored = vector.pushLast(refused) == nil
    #expect(stored)
    #expect(vector.insertWithinCapacity(Counted(4, lifetimes), at: 0).isStored == true)
    #expect(vector.insertWithinCapacity(Counted(5, lifetimes), at: 1).reason == nil)
    #expect(vector.pushWithinCapacity(Counted(6, lifetimes)).isStored == true)
    #expect(names(vector) == [4, 5, 2, 6])
    #expect(allocator.log.calls == calls)
    _ = consume vector
    #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty)
  }

  @Test func `the first append allocates exactly once, and fills the smallest class`() throws {
    let allocator = tracked()
    var words = Vec<Int64, Tracked>(in: allocator)
    try words.append(1)
    #expect(allocator.log.allocations + allocator.log.reallocations == 1)
    #expect(words.capacity == Kmalloc.usableSize(for: try Layout(size: 32, alignment: 8)) / 8)
    var bytes = Vec<UInt8, Tracked>(in: allocator)
    try bytes.append(1)
    #expect(bytes.capacity == Kmalloc.usableSize(for: try Layout(size: 4, alignment: 1)))
    #expect(allocator.log.allocations == 2)
    var large = Vec<InlineArray<100, Int>, Tracked>(in: allocator)
    try large.append(.init(repeating: 0))
    #expect(large.capacity == 4)
  }

  @Test func `a failed growth changes nothing, and the element ends once or is handed back`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try counted(0..<3, lifetimes, in: allocator)
    while !vector.isFull { try vector.append(Counted(vector.count, lifetimes)) }
    let before = names(vector)
    let (capacity, address) = (vector.capacity, vector.address)
    allocator.log.failEverything(true)
    #expect(throws: AllocError.injected) { try vector.append(Counted(100, lifetimes)) }
    #expect(lifetimes.ended == [100])
    #expect(throws: InsertError.allocation(.injected)) { try vector.insert(Counted(101, lifetimes), at: 0) }
    #expect(lifetimes.ended == [100, 101])
    switch vector.push(Counted(102, lifetimes)) {
    case .stored: Issue.record("there was memory")
    case .refused(let element, let error):
      #expect(element.name == 102 && error == .injected)
    }
    #expect(throws: AllocError.injected) { try vector.reserve(1) }
    #expect(throws: AllocError.injected) { try vector.reserveCapacity(1000) }
    #expect(names(vector) == before)
    #expect(vector.capacity == capacity && vector.address == address)
    #expect(allocator.log.live == 1)
    allocator.log.failEverything(false)
    #expect(vector.push(Counted(103, lifetimes)).isStored == true)
    #expect(names(vector) == before + [103])
    _ = consume vector
    #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty && allocator.log.live == 0)
  }

  @Test func `a failed growth of plain bytes changes nothing either`() throws {
    let allocator = tracked()
    var vector = try Vec<Int, Tracked>(copying: 0..<5, in: allocator)
    while !vector.isFull { try vector.append(vector.count) }
    let before = vector.map { $0 }
    allocator.log.failEverything(true)
    #expect(throws: AllocError.injected) { try vector.append(100) }
    #expect(vector.map { $0 } == before)
    #expect(allocator.log.live == 1 && allocator.log.violations.isEmpty)
  }

  @Test func `reserving twice reserves once`() throws {
    let allocator = tracked()
    var vector = Vec<Int, Tracked>(in: allocator)
    try vector.append(1)
    try vector.reserve(100)
    let (capacity, calls) = (vector.capacity, allocator.log.calls)
    #expect(capacity >= 101)
    try vector.reserve(100)
    try vector.reserve(0)
    try vector.reserveCapacity(capacity)
    try vector.reserveCapacity(0)
    #expect(vector.capacity == capacity && allocator.log.calls == calls)
  }

  @Test func `a reservation that cannot exist is refused`() throws {
    var vector = try Vec<Int, Kmalloc>(copying: [1, 2])
    for count in [-1, Int.min, Int.max, Int.max / 8, Int.max / 8 + 1] {
      #expect(throws: AllocError.self) { try vector.reserve(count) }
      #expect(throws: AllocError.self) { try vector.reserveCapacity(count) }
      #expect(throws: AllocError.self) { _ = try Vec<Int, Kmalloc>(capacity: count) }
      #expect(throws: AllocError.self) { try vector.append(repeating: 0, count: count) }
      #expect(throws: AllocError.self) { try vector.resize(to: count, repeating: 0) }
      #expect(throws: InitError<Never>.self) { try vector.append(addingCount: count) { _ in } }
    }
    #expect(throws: AllocError.invalidLayout) { try vector.reserve(-1) }
    #expect(throws: AllocError.invalidLayout) { try vector.reserve(.max) }
    #expect(vector.map { $0 } == [1, 2])
  }

  @Test func `growth takes the usable size in, and is logarithmic`() throws {
    let allocator = tracked()
    var plain = Vec<Int, Tracked>(in: allocator)
    for number in 0..<100_000 { try plain.append(number) }
    #expect(allocator.log.allocations + allocator.log.reallocations <= 17)
    #expect((0..<100_000).allSatisfy { plain[$0] == $0 })

    let lifetimes = Lifetimes()
    let other = tracked()
    let vector = try counted(0..<10_000, lifetimes, in: other)
    #expect(other.log.allocations <= 13 && other.log.reallocations == 0)
    #expect(names(vector) == Array(0..<10_000))

    var filled = try Vec<UInt8, Tracked>(capacity: 1, in: allocator)
    #expect(filled.capacity == Kmalloc.usableSize(for: try Layout(size: 1, alignment: 1)))
    let calls = allocator.log.calls
    while !filled.isFull { try filled.append(7) }
    #expect(allocator.log.calls == calls)
  }

  @Test func `elements that may not be moved as bytes survive growth`() throws {
    final class Object {}
    struct Weak { weak var object: Object? }
    let objects = (0..<200).map { _ in Object() }
    let allocator = tracked()
    var vector = Vec<Weak, Tracked>(in: allocator)
    for object in objects { try vector.append(Weak(object: object)) }
    for (index, object) in objects.enumerated() { #expect(vector[index].object === object) }
    vector.shrink()
    for (index, object) in objects.enumerated() { #expect(vector[index].object === object) }
    // Where the runtime forgives it, the bytes alone would not tell.
    #expect(allocator.log.reallocations == 0)
  }

  @Test func `only plain bytes are reallocated`() throws {
    let allocator = tracked()
    var numbers = Vec<Int, Tracked>(in: allocator)
    for number in 0..<1000 { try numbers.append(number) }
    #expect(allocator.log.reallocations > 0)
    let other = tracked()
    var arrays = Vec<[Int], Tracked>(in: other)
    for number in 0..<1000 { try arrays.append([number]) }
    #expect(other.log.reallocations == 0)
    #expect((0..<1000).allSatisfy { arrays[$0] == [$0] })
  }

  @Test func `elements without size take no memory, and there can be Int max of them`() throws {
    let allocator = tracked()
    allocator.log.failEverything(true)
    do {
      var vector = Vec<Empty, Tracked>(in: allocator)
      for _ in 0..<1000 { try vector.append(Empty()) }
      try vector.insert(Empty(), at: 500)
      #expect(vector.count == 1001 && vector.capacity == .max)
      #expect(try vector.remove(at: 0) == Empty())
      #expect(vector.popLast() == Empty())
      let count = vector.span.count
      #expect(count == 999)
      try vector.reserve(.max - 999)
      #expect(throws: AllocError.invalidLayout) { try vector.reserve(.max - 998) }
      vector.shrink()
      #expect(vector.capacity == .max && vector.count == 999)
      try vector.resize(to: .max, repeating: Empty())
      #expect(vector.isFull == true)
      #expect(throws: AllocError.invalidLayout) { try vector.append(Empty()) }
      #expect(vector.pushLast(Empty()) == Empty())
      vector.truncate(to: 10)
      #expect(vector.count == 10)
    }
    #expect(allocator.log.calls == 0)
  }

  @Test func `each element without size is destroyed once`() throws {
    struct Ended: ~Copyable {
      static let lifetimes = Lifetimes()
      init() { Self.lifetimes.begin(0) }
      deinit { Self.lifetimes.end(0) }
    }
    do {
      var vector = Vec<Ended, Kmalloc>()
      for _ in 0..<10 { try vector.append(Ended()) }
      _ = vector.popLast()
      _ = try vector.remove(at: 3)
      vector.truncate(to: 5)
      #expect(Ended.lifetimes.live == 5)
    }
    #expect(Ended.lifetimes.ended.count == 10 && Ended.lifetimes.violations.isEmpty)
  }

  @Test func `shrinking respects the minimum, the elements and the class, and to nothing frees`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try Vec<Counted, Tracked>(capacity: 10_000, in: allocator)
    for name in 0..<10 { try vector.append(Counted(name, lifetimes)) }
    vector.shrink(to: 5000)
    #expect(vector.capacity >= 5000 && vector.capacity < 5200)
    vector.shrink(to: 6000)
    #expect(vector.capacity < 5200)
    vector.shrink()
    #expect(vector.capacity >= 10 && vector.capacity < 12)
    let (address, calls) = (vector.address, allocator.log.calls)
    vector.shrink(to: -5)
    #expect(vector.address == address && allocator.log.calls == calls)
    #expect(names(vector) == Array(0..<10))
    vector.removeAll()
    #expect(lifetimes.live == 0 && vector.capacity >= 10)
    vector.shrink(to: 3)
    #expect(vector.capacity >= 3 && allocator.log.live == 1)
    vector.shrink()
    #expect(vector.capacity == 0 && allocator.log.live == 0)
    vector.shrink()
    try vector.append(Counted(1, lifetimes))
    #expect(names(vector) == [1])
  }

  @Test func `shrinking does not fail without memory`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try Vec<Counted, Tracked>(capacity: 1000, in: allocator)
    try vector.append(Counted(1, lifetimes))
    var bytes = try Vec<Int, Tracked>(capacity: 1000, in: allocator)
    try bytes.append(1)
    let (capacity, room) = (vector.capacity, bytes.capacity)
    allocator.log.failEverything(true)
    vector.shrink()
    bytes.shrink()
    #expect(vector.capacity == capacity && names(vector) == [1])
    #expect(bytes.capacity == room && bytes[0] == 1)
    _ = consume vector
    _ = consume bytes
    #expect(allocator.log.live == 0 && allocator.log.violations.isEmpty)
  }

  @Test func `a subscript out of range traps`() async {
    await #expect(processExitsWith: .failure) {
      let vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
      _ = vector[3]
    }
    await #expect(processExitsWith: .failure) {
      let vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
      _ = vector[-1]
    }
    await #expect(processExitsWith: .failure) {
      var vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
      vector[3] = 1
    }
    await #expect(processExitsWith: .failure) {
      var vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
      vector.swapAt(0, 3)
    }
    await #expect(processExitsWith: .failure) {
      var vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
      vector.drain(2..<4) { _ in }
    }
  }

  @Test func `a failing allocator makes every growth fail and never sees a free`() throws {
    var vector = Vec<Int, FailingAllocator>()
    #expect(throws: AllocError.outOfMemory) { try vector.append(1) }
    #expect(vector.push(1).handedBack() == 1)
    #expect(throws: InsertError.allocation(.outOfMemory)) { try vector.insert(1, at: 0) }
    #expect(throws: AllocError.outOfMemory) { try vector.reserve(1) }
    #expect(throws: AllocError.outOfMemory) { try vector.reserveCapacity(1) }
    #expect(throws: AllocError.outOfMemory) { try vector.append(copying: [1, 2]) }
    #expect(throws: AllocError.outOfMemory) { try vector.append(copying: [1, 2].span) }
    #expect(throws: AllocError.outOfMemory) { try vector.append(repeating: 1, count: 1) }
    #expect(throws: AllocError.outOfMemory) { try vector.resize(to: 1, repeating: 1) }
    #expect(throws: InitError<Never>.allocation(.outOfMemory)) { try vector.append(addingCount: 1) { _ in } }
    #expect(throws: AllocError.outOfMemory) { _ = try Vec<Int, FailingAllocator>(copying: [1]) }
    #expect(throws: AllocError.outOfMemory) { _ = try Vec<Int, FailingAllocator>(capacity: 1) }
    try vector.append(copying: [])
    try vector.append(repeating: 1, count: 0)
    vector.shrink()
    vector.removeAll()
    let empty = try vector.tryClone()
    #expect(empty.count == 0)
    #expect(vector.isEmpty && vector.capacity == 0)
  }

  @Test func `a vector of a global allocator is three words, also when optional`() {
    #expect(MemoryLayout<Vec<Int, Kmalloc>>.size == 24)
    #expect(MemoryLayout<Vec<Int, Kmalloc>?>.size == 24)
  }
}

extension Vec {
  /// The elements as an array.
  func map<T>(_ transform: (Element) -> T) -> [T] { indices.map { transform(self[$0]) } }
}
