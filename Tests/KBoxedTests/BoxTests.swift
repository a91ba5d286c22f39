import AllocatorTesting
import KBoxed
import Synchronization
import Testing

private struct Broken: Error, Equatable {}

/// A type without size whose ends are counted, in one place for the test that uses it.
private struct NoBytes: ~Copyable {
  static let lifetimes = Lifetimes()
  init() { Self.lifetimes.begin(0) }
  deinit { Self.lifetimes.end(0) }
}

@Suite struct BoxTests {
  @Test func `a value goes in and comes out`() throws {
    let allocator = tracked()
    let box = try Box(1 << 40, in: allocator)
    #expect(box.value == 1 << 40)
    #expect(allocator.log.live == 1)
    #expect(box.consume() == 1 << 40)
    #expect(allocator.log.live == 0)
    #expect(allocator.log.violations.isEmpty)
  }

  @Test func `a value is changed in place`() throws {
    var box = try Box<[Int], Kmalloc>([1])
    box.value.append(2)
    var span = box.mutableSpan
    span[0].append(3)
    #expect(box.value == [1, 2, 3])
    #expect(box.span[0] == [1, 2, 3])
    box.value = [9]
    #expect(box.value == [9])
  }

  @Test func `the value is destroyed exactly once, at the end of the box and not earlier`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    do {
      let box = try Box(Counted(1, lifetimes), in: allocator)
      #expect(lifetimes.live == 1)
      #expect(box.value.name == 1)
      #expect(lifetimes.ended.isEmpty)
      _ = consume box
    }
    #expect(lifetimes.ended == [1])
    #expect(allocator.log.live == 0 && allocator.log.frees == 1)
  }

  @Test func `the value is destroyed before its memory is given back`() throws {
    struct Watcher: ~Copyable {
      let log: AllocationLog
      let liveAtEnd: Reference
      deinit { liveAtEnd.value = log.live }
    }
    final class Reference { var value = -1 }
    let allocator = tracked()
    let seen = Reference()
    do { _ = try Box(Watcher(log: allocator.log, liveAtEnd: seen), in: allocator) }
    #expect(seen.value == 1)
    #expect(allocator.log.live == 0)
  }

  @Test func `a type without size takes no memory, and its deinit runs once`() throws {
    let allocator = tracked()
    allocator.log.failEverything(true)
    let before = NoBytes.lifetimes.ended.count
    do {
      let box = try Box(NoBytes(), in: allocator)
      #expect(NoBytes.lifetimes.ended.count == before)
      _ = consume box
    }
    #expect(NoBytes.lifetimes.ended.count == before + 1)
    let raw = try Box(NoBytes(), in: allocator).intoRaw()
    #expect(NoBytes.lifetimes.ended.count == before + 1)
    do { _ = Box(fromRaw: raw, in: allocator) }
    #expect(NoBytes.lifetimes.ended.count == before + 2)
    _ = try Box(NoBytes(), in: allocator).dropContents().initialize(to: NoBytes()).consume()
    #expect(NoBytes.lifetimes.ended.count == before + 4)
    #expect(NoBytes.lifetimes.live == 0)
    #expect(allocator.log.calls == 0)
  }

  @Test func `a raw pointer keeps the contents and comes back as a box`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    let (raw, same) = try Box(Counted(7, lifetimes), in: allocator).intoRawWithAllocator()
    #expect(lifetimes.live == 1 && allocator.log.live == 1)
    #expect(raw.pointee.name == 7)
    do {
      let box = Box(fromRaw: raw, in: same)
      #expect(box.value.name == 7)
      let again = box.intoRaw()
      #expect(again == raw)
      _ = Box(fromRaw: again, in: allocator)
    }
    #expect(lifetimes.ended == [7])
    #expect(allocator.log.live == 0 && allocator.log.violations.isEmpty)
  }

  @Test func `a leaked value lives on`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    let raw = try Box(Counted(7, lifetimes), in: allocator).leak()
    #expect(lifetimes.live == 1 && allocator.log.live == 1)
    _ = Box(fromRaw: raw, in: allocator)
    #expect(lifetimes.live == 0 && allocator.log.live == 0)
  }

  @Test func `dropped contents leave the same memory for another value`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    let box = try Box(Counted(1, lifetimes), in: allocator)
    let address = box.address
    let memory = box.dropContents()
    #expect(lifetimes.ended == [1])
    #expect(allocator.log.live == 1)
    let second = memory.initialize(to: Counted(2, lifetimes))
    #expect(second.address == address)
    #expect(allocator.log.allocations == 1)
    let value = second.consume()
    #expect(value.name == 2)
    #expect(allocator.log.live == 0)
    _ = consume value
    #expect(lifetimes.ended == [1, 2])
  }

  @Test func `memory without a value goes back without destroying one`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    do { _ = try UninitBox<Counted, Tracked>(in: allocator) }
    #expect(lifetimes.violations.isEmpty && lifetimes.ended.isEmpty)
    #expect(allocator.log.allocations == 1 && allocator.log.live == 0)
  }

  @Test func `memory is taken before the value is made`() throws {
    let allocator = tracked()
    allocator.log.failEverything(true)
    var ran = false
    do {
      _ = try Box<Int, Tracked>.emplace(in: allocator) { () throws(Broken) -> Int in
        ran = true
        return 1
      }
      Issue.record("there was memory")
    } catch {
      #expect(error == .allocation(.injected))
    }
    #expect(!ran)
    allocator.log.failEverything(false)
    let box = try Box<Int, Tracked>.emplace(in: allocator) { 5 }
    #expect(box.value == 5)
  }

  @Test func `an initialiser that fails gives the memory back and destroys nothing`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    do {
      _ = try Box<Counted, Tracked>.emplace(in: allocator) { () throws(Broken) -> Counted in throw Broken() }
      Issue.record("it did not fail")
    } catch {
      #expect(error == .initializer(Broken()))
    }
    #expect(throws: Broken.self) {
      _ = try UninitBox<Counted, Tracked>(in: allocator).emplace { () throws(Broken) -> Counted in throw Broken() }
    }
    #expect(lifetimes.ended.isEmpty && lifetimes.live == 0)
    #expect(allocator.log.allocations == 2 && allocator.log.live == 0)
  }

  @Test func `without memory the value is destroyed once, or handed back`() throws {
    let lifetimes = Lifetimes()
    let allocator = tracked()
    allocator.log.failEverything(true)
    #expect(throws: AllocError.injected) { _ = try Box(Counted(1, lifetimes), in: allocator) }
    #expect(lifetimes.ended == [1])

    switch Box.boxing(Counted(2, lifetimes), in: allocator) {
    case .boxed: Issue.record("there was memory")
    case .refused(let value, let error):
      #expect(value.name == 2)
      #expect(error == .injected)
      #expect(lifetimes.live == 1)
    }
    #expect(lifetimes.ended == [1, 2])
    let value = Box.boxing(Counted(3, lifetimes), in: allocator).handedBack()!
    #expect(value.name == 3)
    _ = consume value
    let noBox = Box.boxing(Counted(4, lifetimes), in: allocator).boxed() == nil
    #expect(noBox)
    allocator.log.failEverything(false)
    let noValue = Box.boxing(Counted(5, lifetimes), in: allocator).handedBack() == nil
    #expect(noValue)
    let box = Box.boxing(Counted(6, lifetimes), in: allocator).boxed()!
    #expect(box.value.name == 6)
    _ = consume box
    #expect(lifetimes.ended == [1, 2, 3, 4, 5, 6])
    #expect(allocator.log.live == 0 && allocator.log.violations.isEmpty && lifetimes.violations.isEmpty)
  }

  @Test func `a zeroed box holds zero`() throws {
    for _ in 0..<4 {
      let dirty = try Box<UInt64, Kmalloc>(.max)
      _ = consume dirty
      #expect(try Box<UInt64, Kmalloc>.zeroed().value == 0)
    }
  }

  @Test func `a clone has its own memory, and a failed one changes nothing`() throws {
    let allocator = tracked()
    var box = try Box(41, in: allocator)
    let copy = try box.tryClone()
    box.value += 1
    #expect(box.value == 42 && copy.value == 41)
    allocator.log.fail(nth: 1)
    #expect(throws: AllocError.injected) { _ = try box.tryClone() }
    #expect(box.value == 42)
    #expect(allocator.log.live == 2)
  }

  @Test func `a box of a global allocator is one word, also when optional`() {
    #expect(MemoryLayout<Box<Int, Kmalloc>>.size == 8)
    #expect(MemoryLayout<Box<Int, Kmalloc>?>.size == 8)
    #expect(MemoryLayout<UninitBox<Int, Kmalloc>?>.size == 8)
    #expect(MemoryLayout<Box<InlineArray<100, Int>, Kmalloc>?>.size == 8)
  }

  @Test func `an optional box tells nil from every box, also of a type without size`() throws {
    struct Empty {}
    var box: Box<Empty, Kmalloc>? = try Box(Empty())
    let wasNil = box == nil
    box = nil
    let isNil = box == nil
    #expect(!wasNil && isNil)
  }

  @Test func `a failing allocator makes every box fail and never sees a free`() {
    #expect(throws: AllocError.outOfMemory) { _ = try Box<Int, FailingAllocator>(1) }
    #expect(throws: AllocError.outOfMemory) { _ = try Box<Int, FailingAllocator>.zeroed() }
    #expect(throws: AllocError.outOfMemory) { _ = try UninitBox<Int, FailingAllocator>() }
    #expect(throws: InitError<Never>.allocation(.outOfMemory)) { _ = try Box<Int, FailingAllocator>.emplace { 1 } }
    #expect(Box<Int, FailingAllocator>.boxing(1).handedBack() == 1)
    #expect(throws: Never.self) { _ = try Box<Void, FailingAllocator>(()) }
  }

  @Test func `a box is sent to another thread and ended there`() async throws {
    let lifetimes = Lifetimes()
    let parcel = Mutex<Box<Counted, Kmalloc>?>(try Box(Counted(1, lifetimes)))
    await Task.detached { [parcel = consume parcel] in
      parcel.withLock { box in box = nil }
      #expect(lifetimes.ended == [1])
    }.value
  }
}

extension Box where Value: ~Copyable {
  fileprivate var address: UnsafePointer<Value>? { span.withUnsafeBufferPointer { $0.baseAddress } }
}
