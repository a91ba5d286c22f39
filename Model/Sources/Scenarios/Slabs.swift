// Slabs: refill, return, the end of a slab, and the hints by which slabs are found. Objects of 2 KiB: eight in a slab.

import Explorer
import KAllocAtomics

@testable import Slab

let slabScenarios: [Scenario] = [
  Scenario("slabs-rehint", "all slabs are looked at while others take the last objects and give them back") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let objects = table.prepare(7)
    return world(
      table, { table.give(table.take(1)) }, { table.give(objects[0]) },
      {
        _ = table.table.rehint(table.sizeClass)
        table.give(table.take(1))
      })
  },

  Scenario("slabs-take-take", "two refills of a slab with three free objects: all three go out, each once") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let out = table.prepare(5)
    _ = out
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void { { got[thread].value = table.take(2).count } }
    return world(
      table, body(0), body(1),
      check: { expect(got[0].value + got[1].value == 3, "objects were left and a refill got none") })
  },

  Scenario(
    "slabs-take-give", "a refill takes the last free object while another comes back: the slab can be found after it"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let out = table.prepare(7)
    return world(table, { table.give(out[3]) }, { table.take(2) })
  },

  Scenario(
    "slabs-create-found", "a slab is made where a hint is left of the one before: a refill sees all of it or none"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    table.table.hint(FrameIndex(0), table.sizeClass)
    return world(table, { _ = table.create(2) }, { table.take(2) })
  },

  Scenario("slabs-take-take-give", "two refills and a return, one free object at the start") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let out = table.prepare(7)
    return world(table, { table.give(out[3]) }, { table.take(1) }, { table.take(1) })
  },

  Scenario("slabs-give-give-last", "the last two objects of a slab come back: it is kept as the spare, once") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let out = table.prepare(2)
    return world(table, { table.give(out[0]) }, { table.give(out[1]) })
  },

  Scenario("slabs-spare", "the last objects of two slabs come back: one is kept, the other ends") {
    let table = try SmallTable(objectBytes: 2048, slabs: 2)
    let first = table.prepare(1)
    let second = table.prepare(1)
    return world(table, { table.give(first) }, { table.give(second) })
  },

  Scenario(
    "slabs-end-refill", "the last object of a second slab comes back, which may end it, while a refill takes from it"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 2)
    let first = table.prepare(1)
    let second = table.prepare(1)
    table.give(first)
    return world(table, { table.give(second) }, { table.take(9) })
  },

  Scenario("slabs-end-spare", "the kept slab is ended on request while its objects are refilled from and returned") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    table.give(table.prepare(1))
    return world(table, { _ = table.table.retireSpare(table.sizeClass) }, { table.give(table.take(1)) })
  },

  Scenario("slabs-end-again", "a slab ends and its frames become a slab again while a third thread refills") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    table.give(table.prepare(1))
    return world(
      table, { _ = table.table.retireSpare(table.sizeClass) }, { table.take(1) }, { _ = table.create(1) })
  },

  Scenario(
    "slabs-end-reuse", "the last two objects come back, a third thread ends the slab and makes a new one of its frames"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    let out = table.prepare(2)
    return world(
      table, { table.give(out[0]) }, { table.give(out[1]) },
      {
        _ = table.table.retireSpare(table.sizeClass)
        _ = table.create(1)
      })
  },

  Scenario("slabs-create-take", "a slab is made while another thread looks for one: it sees all of it or none") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1)
    return world(table, { _ = table.create(2) }, { table.give(table.take(2)) })
  },

  Scenario("slabs-purge-take", "a purge of free pages meets a refill: nothing that is in use goes to the system") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1, backing: .reserved)
    _ = table.prepare(2)
    return world(
      table, { table.purge() },
      { table.checkDirty(table.take(1)) })
  },

  Scenario("slabs-purge-give", "a purge meets the return of the last objects: the slab ends, or stays with all of them")
  {
    let table = try SmallTable(objectBytes: 2048, slabs: 2, backing: .reserved)
    table.give(table.prepare(1))
    let out = table.prepare(2)
    return world(table, { table.purge() }, { table.give(out) })
  },

  Scenario("slabs-purge-purge", "two purges of one slab, and a refill") {
    let table = try SmallTable(objectBytes: 2048, slabs: 1, backing: .reserved)
    _ = table.prepare(2)
    return world(
      table, { table.purge() }, { table.purge() }, { table.checkDirty(table.take(2)) })
  },

  Scenario(
    "slabs-purge-half", "a purge meets the return of objects that leaves half of the slab free: the next one finds it"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 1, backing: .reserved)
    let out = table.prepare(5)
    table.table.hintPurge(FrameIndex(0))
    return world(table, { table.purge() }, { table.give(out[0]) }, check: table.checkPurgeHints)
  },

  Scenario(
    "slabs-purge-others", "objects come back to a slab whose free ones a purge has: the next one will look at them"
  ) {
    let table = try SmallTable(objectBytes: 2048, slabs: 1, backing: .reserved)
    let out = table.prepare(4)
    return world(table, { table.purge() }, { table.give([out[0], out[1]]) }, check: table.checkPurgeHints)
  },

  Scenario("slabs-words", "refills and returns in a slab whose bitmap has two words") {
    let table = try SmallTable(objectBytes: 128, slabs: 1)
    let out = table.prepare(127)
    return world(table, { table.give(out[3]) }, { table.give(out[126]) }, { table.take(2) })
  },
]
