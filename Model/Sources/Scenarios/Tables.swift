// The small structures by themselves: a depot's magazines, the table of direct mappings.

import Explorer
import KAllocAtomics

@testable import Slab

let tableScenarios: [Scenario] = [
  Scenario("depot-take-put", "a magazine is emptied and put back by one thread, filled by another, taken by a third") {
    let depot = smallDepot(full: 1)
    return world(
      depot, { empty(depot) },
      {
        guard let magazine = depot.takeEmpty() else { return }
        fill(magazine, 2)
        depot.put(magazine)
      }, { empty(depot) })
  },

  Scenario("depot-take-take", "two threads take the only full magazine") {
    let depot = smallDepot(full: 1)
    return world(depot, { empty(depot) }, { empty(depot) })
  },

  Scenario("depot-rest", "a thread puts a magazine, and another one looks twice: what it takes is whole") {
    let depot = smallDepot(full: 0)
    return world(
      depot,
      {
        guard let magazine = depot.takeEmpty() else { return }
        fill(magazine, 1)
        depot.put(magazine)
      },
      {
        depot.rest()
        empty(depot.takeRested(), of: depot)
      })
  },

  Scenario("depot-rest-take", "the only full magazine has rested; one thread takes it, one looks, one marks") {
    let depot = smallDepot(full: 1)
    depot.rest()
    return world(depot, { empty(depot) }, { empty(depot.takeRested(), of: depot) }, { depot.rest() })
  },

  Scenario("depot-put-put", "two threads fill magazines, and a third empties what it finds") {
    let depot = smallDepot(full: 0)
    func body() {
      guard let magazine = depot.takeEmpty() else { return }
      fill(magazine, 1)
      depot.put(magazine)
    }
    return world(depot, body, body, { empty(depot) })
  },

  Scenario("direct-take-take", "two threads free the same direct mapping: one finds nothing") {
    let table = DirectMappings(WordArray(arena(bytes: DirectMappings.bytes)))
    let slot = table.claim()!
    table.publish(slot, 0x1000, bytes: 77)
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void {
      {
        if let (slot, bytes) = table.take(0x1000) {
          expect(bytes == 77, "the size of a mapping is wrong")
          table.publish(slot, 0, bytes: 0)
          got[thread].value = 1
        }
      }
    }
    var world = World()
    world.threads = [body(0), body(1)]
    world.check = { expect(got[0].value + got[1].value == 1, "not exactly one of two frees found the block") }
    return world
  },

  Scenario("direct-reuse-contains", "a slot is used again while an address is looked for that neither block contains") {
    let table = DirectMappings(WordArray(arena(bytes: DirectMappings.bytes)))
    table.publish(table.claim()!, 0x1000, bytes: 0x1000)
    var world = World()
    world.threads = [
      {
        if let (slot, _) = table.take(0x1000) { table.publish(slot, 0, bytes: 0) }
        if let slot = table.claim() { table.publish(slot, 0x9000, bytes: 0x8000) }
      },
      { expect(table.node(containing: 0x5000) == nil, "an address is taken for one inside a mapping") },
    ]
    world.check = { expect(table.node(containing: 0xffff) != nil, "a mapping does not contain its last byte") }
    return world
  },

  Scenario("direct-publish-find", "a mapping is published while another thread looks for it: its size is right") {
    let table = DirectMappings(WordArray(arena(bytes: DirectMappings.bytes)))
    var world = World()
    world.threads = [
      { if let slot = table.claim() { table.publish(slot, 0x1000, bytes: 77) } },
      { if let bytes = table.find(0x1000) { expect(bytes == 77, "the size of a mapping is wrong") } },
      { if let slot = table.claim() { table.publish(slot, 0x2000, bytes: 88) } },
    ]
    world.check = {
      expect(table.statistics().blocks == 2, "a mapping was lost")
      expect(table.statistics().bytes == 165, "the sizes of the mappings are wrong")
    }
    return world
  },
]

/// A depot of two magazines, `full` of them with a pointer.
private func smallDepot(full: Int) -> Depot {
  let info = StackInfo(StackIndex(SizeClass(holding: 32768)), after: nil)
  let words = arena(bytes: 64).assumingMemoryBound(to: UInt64.self)
  let magazines = arena(bytes: info.magazineBytes * StackInfo.depotSlots)
  words[1] = 3
  let depot = Depot(
    full: AtomicWord(words), empty: AtomicWord(words + 1), first: magazines, others: magazines + info.magazineBytes,
    info: info)
  for _ in 0..<full {
    let magazine = depot.takeEmpty()!
    fill(magazine, 1)
    depot.put(magazine)
  }
  return depot
}

private func fill(_ magazine: Depot.Magazine, _ count: Int) {
  for index in 0..<count { plainWrite(magazine.pointers + index, UInt64(magazine.slot * 100 + index + 1)) }
  magazine.count = count
}

private func empty(_ depot: Depot) { empty(depot.takeFull(), of: depot) }

private func empty(_ magazine: Depot.Magazine?, of depot: Depot) {
  guard let magazine else { return }
  expect(magazine.count > 0, "a full magazine is empty")
  for index in 0..<magazine.count {
    expect(
      plainRead(magazine.pointers + index) == UInt64(magazine.slot * 100 + index + 1), "a magazine holds old pointers")
  }
  magazine.count = 0
  depot.put(magazine)
}

private func world(_ depot: Depot, _ threads: (() -> Void)...) -> World {
  var world = World()
  world.threads = threads
  world.check = {
    for _ in 0..<2 where depot.takeFull() == nil && depot.takeEmpty() == nil {
      expect(false, "a magazine is neither full nor empty")
    }
    expect(depot.takeFull() == nil && depot.takeEmpty() == nil, "there are more magazines than there were")
  }
  return world
}
