import TestSupport
import Testing

@testable import Slab

private final class MappingsMemory: @unchecked Sendable {
  // Sendable: the memory is touched through `table` only.
  let table: DirectMappings
  private let words: UnsafeMutableRawPointer

  init() {
    words = .allocate(byteCount: DirectMappings.bytes, alignment: 8)
    words.initializeMemory(as: UInt8.self, repeating: 0, count: DirectMappings.bytes)
    table = DirectMappings(WordArray(words))
  }

  deinit { words.deallocate() }
}

@Suite struct `Direct mappings` {
  @Test func `a block is found from its publication to its taking`() throws {
    let memory = MappingsMemory()
    defer { withExtendedLifetime(memory) {} }
    let table = memory.table
    let slot = try #require(table.claim())
    #expect(table.find(0x7000_0000) == nil)
    table.publish(slot, 0x7000_0000, bytes: 5 << 30)
    #expect(table.find(0x7000_0000) == 5 << 30)
    #expect(table.statistics() == (1, 5 << 30))
    let taken = try #require(table.take(0x7000_0000))
    #expect(taken == (slot, 5 << 30))
    #expect(table.take(0x7000_0000) == nil, "the second of two that free it finds nothing")
    #expect(table.find(0x7000_0000) == nil)
    table.publish(slot, 0, bytes: 0)
    #expect(table.statistics() == (0, 0))
  }

  @Test func `all slots can be used, and no more`() {
    let memory = MappingsMemory()
    defer { withExtendedLifetime(memory) {} }
    let table = memory.table
    let slots = (0..<DirectMappings.slots).compactMap { _ in table.claim() }
    #expect(Set(slots).count == DirectMappings.slots)
    #expect(table.claim() == nil)
    for slot in slots { table.publish(slot, UInt64(slot + 2) << 12, bytes: 1 << 30) }
    #expect(table.statistics() == (DirectMappings.slots, DirectMappings.slots << 30))
    table.publish(slots[7], 0, bytes: 0)
    #expect(table.claim() == slots[7])
  }

  @Test func `of threads that take the same blocks each is had by one`() {
    let memory = MappingsMemory()
    defer { withExtendedLifetime(memory) {} }
    let table = memory.table
    let blocks = 200
    for block in 1...blocks { table.publish(table.claim()!, UInt64(block) << 12, bytes: block) }
    let taken = Counter()
    onThreads(4) { _ in
      for block in 1...blocks {
        if let (slot, bytes) = table.take(UInt64(block) << 12) {
          if bytes == block { taken.add() }
          table.publish(slot, 0, bytes: 0)
        }
      }
    }
    #expect(taken.value == blocks)
    #expect(table.statistics() == (0, 0))
  }
}
