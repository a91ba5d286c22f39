import AllocatorTesting
import KBoxed
import Testing

private struct Empty: Equatable {}

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

  @Test func `a vector of a global allocator is three words, also when optional`() {
    #expect(MemoryLayout<Vec<Int, Kmalloc>>.size == 24)
    #expect(MemoryLayout<Vec<Int, Kmalloc>?>.size == 24)
  }
}
