import AllocatorTesting
import KBoxed
import Testing

private struct Stop: Error {}

@Suite struct VecRemovalTests {
  @Test func `truncating destroys exactly the tail, and never frees`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try counted(0..<10, lifetimes, in: allocator)
    let (capacity, calls) = (vector.capacity, allocator.log.calls)
    vector.truncate(to: 11)
    vector.truncate(to: 10)
    #expect(lifetimes.ended.isEmpty && vector.count == 10)
    vector.truncate(to: 6)
    #expect(lifetimes.ended == [6, 7, 8, 9])
    vector.truncate(to: -1)
    #expect(lifetimes.live == 0 && vector.isEmpty)
    #expect(vector.capacity == capacity && allocator.log.calls == calls)
  }

  @Test func `retaining agrees with filtering for every subset of up to nine elements`() throws {
    for count in 0..<10 {
      for mask in 0..<(1 << count) {
        let lifetimes = Lifetimes()
        var vector = try counted(0..<count, lifetimes, in: Kmalloc())
        var visited: [Int] = []
        vector.retain { element in
          visited.append(element.name)
          return mask >> element.name & 1 == 1
        }
        let kept = (0..<count).filter { mask >> $0 & 1 == 1 }
        guard names(vector) == kept, visited == Array(0..<count), lifetimes.live == kept.count,
          lifetimes.ended == (0..<count).filter({ mask >> $0 & 1 == 0 })
        else {
          Issue.record("\(count) elements, mask \(mask)")
          return
        }
      }
    }
  }

  @Test func `retaining may change elements`() throws {
    var vector = try Vec<Int, Kmalloc>(copying: 0..<6)
    vector.retain { element in
      element += 10
      return element % 2 == 0
    }
    #expect(vector.map { $0 } == [10, 12, 14])
  }

  @Test func `a predicate that throws keeps its element and those after it`() throws {
    let lifetimes = Lifetimes()
    var vector = try counted(0..<8, lifetimes, in: Kmalloc())
    #expect(throws: Stop.self) {
      try vector.retain { (element) throws(Stop) in
        if element.name == 5 { throw Stop() }
        return element.name % 2 == 1
      }
    }
    #expect(names(vector) == [1, 3, 5, 6, 7])
    #expect(lifetimes.ended == [0, 2, 4])
  }

  @Test func `a drain gives the elements in order and closes the gap`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    var vector = try counted(0..<10, lifetimes, in: allocator)
    let calls = allocator.log.calls
    let taken = vector.drain(2..<6) { drain in
      var taken: [Int] = []
      while let element = drain.next() { taken.append(element.name) }
      #expect(drain.count == 0)
      return taken
    }
    #expect(taken == [2, 3, 4, 5])
    #expect(names(vector) == [0, 1, 6, 7, 8, 9])
    #expect(lifetimes.ended == [2, 3, 4, 5])
    #expect(allocator.log.calls == calls)
  }

  @Test func `a drain that is left early destroys the rest`() throws {
    let lifetimes = Lifetimes()
    var vector = try counted(0..<10, lifetimes, in: Kmalloc())
    vector.drain(3..<8) { drain in
      let first = drain.next()!
      #expect(first.name == 3 && drain.count == 4)
    }
    #expect(names(vector) == [0, 1, 2, 8, 9])
    #expect(lifetimes.ended == [3, 4, 5, 6, 7])
    vector.drain(0..<0) { _ in }
    vector.drain(5..<5) { _ in }
    #expect(vector.count == 5)
    #expect(throws: Stop.self) {
      try vector.drain(0..<4) { (drain) throws(Stop) in
        _ = drain.next()
        throw Stop()
      }
    }
    #expect(names(vector) == [9])
    #expect(lifetimes.violations.isEmpty && lifetimes.live == 1)
  }

  @Test func `collecting after advancing keeps the rest and the address`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    let vector = try counted(0..<10, lifetimes, in: allocator)
    let (address, capacity, calls) = (vector.address, vector.capacity, allocator.log.calls)
    var iterator = vector.makeConsumingIterator()
    for name in 0..<4 {
      let element = iterator.next()!
      #expect(element.name == name)
    }
    #expect(iterator.count == 6)
    var rest = iterator.collect()
    #expect(names(rest) == [4, 5, 6, 7, 8, 9])
    #expect(rest.address == address && rest.capacity == capacity && allocator.log.calls == calls)
    try rest.append(Counted(10, lifetimes))
    _ = consume rest
    #expect(lifetimes.live == 0 && lifetimes.violations.isEmpty && allocator.log.live == 0)
  }

  @Test func `an iterator that is dropped destroys the rest and frees`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    do {
      var iterator = try counted(0..<5, lifetimes, in: allocator).makeConsumingIterator()
      _ = iterator.next()
      #expect(lifetimes.ended == [0])
    }
    #expect(lifetimes.ended == [0, 1, 2, 3, 4])
    #expect(allocator.log.live == 0)
    var end = Vec<Int, Kmalloc>().makeConsumingIterator()
    #expect(end.next() == nil)
    #expect(end.collect().isEmpty == true)
  }

  @Test func `raw parts keep the elements and come back as a vector`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    let parts = try counted(0..<5, lifetimes, in: allocator).intoRawParts()
    #expect(lifetimes.live == 5 && allocator.log.live == 1)
    #expect(parts.start[4].name == 4)
    do {
      let vector = Vec(fromRawParts: parts.start, count: parts.count, capacity: parts.capacity, in: allocator)
      #expect(names(vector) == [0, 1, 2, 3, 4])
    }
    #expect(lifetimes.live == 0 && allocator.log.live == 0 && allocator.log.violations.isEmpty)
  }
}
