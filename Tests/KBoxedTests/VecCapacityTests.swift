import AllocatorTesting
import KBoxed
import Testing

/// When a vector allocates, how much, and what is left where it cannot.
@Suite struct VecCapacityTests {
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
}
