import AllocatorTesting
import KBoxed
import Testing

private struct Stop: Error, Equatable {}

@Suite struct VecFillingTests {
  @Test func `resizing keeps what is there, up and down`() throws {
    let allocator = tracked()
    var vector = try Vec<Int, Tracked>(copying: [1, 2, 3], in: allocator)
    try vector.resize(to: 6, repeating: 9)
    #expect(vector.map { $0 } == [1, 2, 3, 9, 9, 9])
    try vector.resize(to: 2, repeating: 7)
    #expect(vector.map { $0 } == [1, 2])
    try vector.resize(to: 2, repeating: 7)
    try vector.append(repeating: 5, count: 2)
    #expect(vector.map { $0 } == [1, 2, 5, 5])
    #expect(throws: AllocError.invalidLayout) { try vector.resize(to: -1, repeating: 0) }
  }

  @Test func `adding no copies destroys the element and succeeds`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = Vec<CountedCopy, Tracked>(in: allocator)
    try vector.append(repeating: CountedCopy(1, lifetimes), count: 0)
    try vector.resize(to: 0, repeating: CountedCopy(2, lifetimes))
    #expect(lifetimes.ended == [1, 2] && vector.isEmpty && allocator.log.calls == 0)
  }

  @Test func `without memory no copy is added`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try Vec<CountedCopy, Tracked>(copying: [CountedCopy(1, lifetimes)], in: allocator)
    allocator.log.failEverything(true)
    #expect(throws: AllocError.injected) { try vector.append(repeating: CountedCopy(2, lifetimes), count: 100) }
    #expect(throws: AllocError.injected) { try vector.resize(to: 100, repeating: CountedCopy(3, lifetimes)) }
    #expect(vector.map(\.name) == [1])
    #expect(lifetimes.ended == [2, 3])
  }

  @Test func `a sequence is copied, whatever it says of its length`() throws {
    let allocator = tracked()
    let exact = try Vec<Int, Tracked>(copying: 0..<1000, in: allocator)
    #expect(allocator.log.allocations + allocator.log.reallocations == 1)
    #expect(exact.map { $0 } == Array(0..<1000))
    let unknown = try Vec<Int, Tracked>(copying: sequence(first: 0) { $0 < 99 ? $0 + 1 : nil }, in: allocator)
    #expect(unknown.map { $0 } == Array(0..<100))
    let none = try Vec<Int, Tracked>(copying: [], in: allocator)
    #expect(none.capacity == 0)
  }

  @Test func `a sequence that runs out of memory midway leaves nothing behind`() throws {
    // The length is not known beforehand: each growth is a request that can fail.
    func numbers(_ lifetimes: Lifetimes) -> some Sequence<CountedCopy> {
      (0..<100).lazy.filter { _ in true }.map { CountedCopy($0, lifetimes) }
    }
    for n in 1... {
      let lifetimes = Lifetimes()
      let allocator = tracked()
      allocator.log.fail(nth: n)
      let failed = (try? Vec<CountedCopy, Tracked>(copying: numbers(lifetimes), in: allocator)) == nil
      #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty)
      #expect(allocator.log.live == 0 && allocator.log.violations.isEmpty)
      if allocator.log.cancelPlan() {
        #expect(!failed && n > 3)
        break
      }
      #expect(failed)
    }
    for n in 1... {
      let lifetimes = Lifetimes()
      let allocator = tracked()
      var vector = try Vec<CountedCopy, Tracked>(copying: [CountedCopy(-1, lifetimes)], in: allocator)
      allocator.log.fail(nth: n)
      let failed = (try? vector.append(copying: numbers(lifetimes))) == nil
      #expect(vector.map(\.name) == (failed ? [-1] : [-1] + Array(0..<100)))
      #expect(lifetimes.live == vector.count)
      if allocator.log.cancelPlan() { break }
    }
  }

  @Test func `a span is copied in one piece`() throws {
    var vector = try Vec<String, Kmalloc>(copying: ["a"])
    try vector.append(copying: ["b", "c"].span)
    try vector.append(copying: [String]().span)
    let clone = try vector.tryClone()
    try vector.append(copying: clone.span)
    #expect(vector.map { $0 } == ["a", "b", "c", "a", "b", "c"])
  }

  @Test func `a clone is independent, and a failed one leaves the vector`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try Vec<CountedCopy, Tracked>(copying: (0..<5).map { CountedCopy($0, lifetimes) }, in: allocator)
    let clone = try vector.tryClone()
    _ = vector.popLast()
    #expect(clone.map(\.name) == [0, 1, 2, 3, 4] && vector.map(\.name) == [0, 1, 2, 3])
    allocator.log.fail(nth: 1)
    #expect(throws: AllocError.injected) { _ = try vector.tryClone() }
    #expect(vector.map(\.name) == [0, 1, 2, 3])
    #expect(allocator.log.live == 2)
  }

  @Test func `room is filled through an output span`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try counted(0..<2, lifetimes, in: allocator)
    try vector.append(addingCount: 5) { room in
      #expect(room.freeCapacity == 5)
      for name in 2..<5 { room.append(Counted(name, lifetimes)) }
    }
    #expect(names(vector) == [0, 1, 2, 3, 4])
    #expect(lifetimes.ended.isEmpty == true)
  }

  @Test func `an initialiser that fails at element k destroys the k elements before it`() throws {
    for k in 0..<6 {
      let lifetimes = Lifetimes()
      let allocator = tracked()
      var vector = try counted([100], lifetimes, in: allocator)
      #expect(throws: InitError<Stop>.initializer(Stop())) {
        try vector.append(addingCount: 5) { (room) throws(Stop) in
          for name in 0..<k {
            if room.isFull { throw Stop() }
            room.append(Counted(name, lifetimes))
          }
          throw Stop()
        }
      }
      #expect(names(vector) == [100])
      #expect(lifetimes.ended.sorted() == Array(0..<min(k, 5)))
      #expect(lifetimes.violations.isEmpty == true)
    }
  }

  @Test func `elements and room are edited as one span, also when the edit throws`() throws {
    let lifetimes = Lifetimes()
    var vector = try counted(0..<3, lifetimes, in: Kmalloc())
    vector.edit { span in
      _ = span.removeLast()
      span.append(Counted(7, lifetimes))
    }
    #expect(names(vector) == [0, 1, 7])
    #expect(throws: Stop.self) {
      try vector.edit { (span) throws(Stop) in
        span.removeAll()
        span.append(Counted(8, lifetimes))
        throw Stop()
      }
    }
    #expect(names(vector) == [8])
    #expect(lifetimes.live == 1 && lifetimes.violations.isEmpty)
  }

  @Test func `spans show the elements, and a mutable one changes them`() throws {
    var vector = try Vec<Int, Kmalloc>(copying: [3, 1, 2])
    let (count, second) = (vector.span.count, vector.span[1])
    #expect(count == 3 && second == 1)
    var span = vector.mutableSpan
    span[0] = 9
    span.swapAt(1, 2)
    #expect(vector.map { $0 } == [9, 2, 1])
    vector.withUnsafeMutableBufferPointer { elements in elements.swapAt(0, 2) }
    #expect(vector.map { $0 } == [1, 2, 9])
    vector[1] += 40
    #expect(vector[1] == 42)
  }

  @Test func `two different elements are lent at once, and others are not`() throws {
    var vector = try Vec<Int, Kmalloc>(copying: [1, 2, 3])
    let sum = vector.withDisjoint(0, 2) { first, second in
      swap(&first, &second)
      return first + second
    }
    #expect(sum == 4 && vector.map { $0 } == [3, 2, 1])
    for (i, j) in [(0, 0), (0, 3), (3, 0), (-1, 0), (Int.max, Int.min)] {
      #expect(vector.withDisjoint(i, j) { _, _ in 1 } == nil)
    }
  }
}
