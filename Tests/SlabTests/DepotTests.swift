import Synchronization
import TestSupport
import Testing

@testable import Slab

/// A depot over memory of its own.
private final class DepotMemory: @unchecked Sendable {
  // Sendable: the memory is touched through `depot` only.
  let depot: Depot
  let info: StackInfo
  private let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)
  private let magazines: UnsafeMutableRawPointer

  init() {
    info = StackInfo(StackIndex(SizeClass(holding: 4096)), after: nil)
    words.initialize(repeating: 0, count: 2)
    let bytes = info.magazineBytes * StackInfo.depotSlots
    magazines = .allocate(byteCount: bytes, alignment: 8)
    magazines.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    depot = Depot(
      full: AtomicWord(words), empty: AtomicWord(words + 1), first: magazines, others: magazines + info.magazineBytes,
      info: info)
    depot.initialise()
  }

  deinit {
    words.deallocate()
    magazines.deallocate()
  }
}

@Suite struct `Depots` {
  @Test func `every slot is empty at first, and can be owned once`() {
    let memory = DepotMemory()
    defer { withExtendedLifetime(memory) {} }
    let depot = memory.depot
    #expect(depot.isWhole)
    #expect(depot.takeFull() == nil)
    var owned: [Depot.Magazine] = []
    while let magazine = depot.takeEmpty() { owned.append(magazine) }
    #expect(owned.map(\.slot) == Array(0..<StackInfo.depotSlots))
    #expect(!depot.isWhole)
    for magazine in owned { depot.put(magazine) }
    #expect(depot.isWhole)
  }

  @Test func `what rests between two looks is the second one's, and nothing else`() throws {
    let memory = DepotMemory()
    defer { withExtendedLifetime(memory) {} }
    let depot = memory.depot
    for _ in 0..<3 {
      let magazine = try #require(depot.takeEmpty())
      magazine.count = 1
      depot.put(magazine)
    }
    #expect(depot.takeRested() == nil)
    depot.rest()
    #expect(depot.pointers == 3)
    // One is taken and put back, one is taken, emptied and filled again: neither has rested.
    let used = try #require(depot.takeFull())
    let other = try #require(depot.takeFull())
    #expect(depot.takeRested()?.slot == 2 && depot.takeRested() == nil)
    depot.put(used)
    depot.put(other)
    #expect(depot.takeRested() == nil && depot.isConsistent)
    depot.rest()
    #expect(depot.takeRested()?.slot == 0 && depot.takeRested()?.slot == 1 && depot.takeRested() == nil)
  }

  @Test func `a mark is only on a full slot, whatever happens`() {
    var words: [FullSlots] = [FullSlots(bits: 0)]
    var seen: Set<UInt64> = [0]
    while let word = words.popLast() {
      #expect(word.rested & ~word.full == 0)
      var next = [word.resting(), word.takingRested()?.0].compactMap(\.self)
      for slot in 0..<4 {
        let bit = UInt64(1) << UInt64(slot)
        next.append(FullSlots(bits: word.bits & ~FullSlots.withMark(bit)))
        if word.full & bit == 0 { next.append(FullSlots(bits: word.bits | bit)) }
      }
      for word in next where seen.insert(word.bits).inserted { words.append(word) }
    }
    // Each of four slots is empty, full, or full and rested.
    #expect(seen.count == 81)
  }

  @Test func `a magazine comes back with what was put into it`() throws {
    let memory = DepotMemory()
    defer { withExtendedLifetime(memory) {} }
    let depot = memory.depot
    for round in 1...3 {
      let magazine = try #require(depot.takeEmpty())
      for index in 0..<memory.info.batch { magazine.pointers[index] = UInt64(round * 1000 + index) }
      magazine.count = memory.info.batch
      depot.put(magazine)
    }
    #expect(depot.pointers == 3 * memory.info.batch)
    var found: Set<UInt64> = []
    while let magazine = depot.takeFull() {
      for index in 0..<magazine.count { found.insert(magazine.pointers[index]) }
      magazine.count = 0
      depot.put(magazine)
    }
    #expect(found.count == 3 * memory.info.batch)
    #expect(depot.pointers == 0)
    #expect(depot.isWhole)
  }

  @Test func `threads that exchange magazines lose and double nothing`() {
    let memory = DepotMemory()
    defer { withExtendedLifetime(memory) {} }
    let depot = memory.depot
    let threads = 4
    let rounds = 3000
    // Thread t puts the numbers t, t + 4, …; whoever takes one marks it.
    let seen = UnsafeMutablePointer<UInt8>.allocate(capacity: threads * rounds)
    seen.initialize(repeating: 0, count: threads * rounds)
    defer { seen.deallocate() }
    nonisolated(unsafe) let marks = seen
    let wrong = Counter()
    let drain: @Sendable () -> Void = {
      while let magazine = depot.takeFull() {
        for index in 0..<magazine.count {
          let mark = AtomicByte(marks + Int(magazine.pointers[index]))
          if mark.exchangeRelaxed(1) != 0 { wrong.add() }
        }
        magazine.count = 0
        depot.put(magazine)
      }
    }
    onThreads(threads) { thread in
      var next = thread
      while next < threads * rounds {
        guard let magazine = depot.takeEmpty() else {
          drain()
          continue
        }
        var count = 0
        while count < memory.info.batch && next < threads * rounds {
          magazine.pointers[count] = UInt64(next)
          next += threads
          count += 1
        }
        magazine.count = count
        depot.put(magazine)
        if next % 3 == 0 { drain() }
      }
    }
    drain()
    #expect(wrong.value == 0)
    #expect((0..<threads * rounds).allSatisfy { seen[$0] == 1 })
    #expect(depot.isWhole)
  }
}
