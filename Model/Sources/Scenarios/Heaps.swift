// Whole heaps: caches of CPUs and threads, depots, drains, the limit, the end.

import Explorer
import KAllocAtomics

@testable import Slab

let heapScenarios: [Scenario] = [
  Scenario("heap-shared", "two threads allocate and free in shared mode") {
    let heap = try SmallHeap(.shared)
    heap.give(heap.take(2))
    func body() { if let object = heap.take() { heap.give(object) } }
    return world(heap, body, body)
  },

  Scenario(
    "heap-limit", "two threads reach a limit of one slab: no more is committed, and one of them at least is served"
  ) {
    let heap = try SmallHeap(.shared, limit: 256 << 10)
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void { { got[thread].value = heap.take() == nil ? 0 : 1 } }
    return world(
      heap, body(0), body(1), check: { expect(got[0].value + got[1].value >= 1, "memory was left and both failed") })
  },

  Scenario("heap-one-cpu", "two threads of one CPU allocate and free: sections are aborted, nothing is lost or doubled")
  {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(1))
    func body() { if let object = heap.take() { heap.give(object) } }
    return world(heap, cpus: [0, 0], body, body)
  },

  Scenario("heap-open", "two threads of one CPU free at once onto a stack that is not open yet") {
    let heap = try SmallHeap(.rseq)
    SimulatedSystem.prepare(onCPU: 1)
    let objects = heap.take(2)
    return world(heap, cpus: [0, 0], { heap.give(objects[0]) }, { heap.give(objects[1]) })
  },

  Scenario("heap-grow-stack", "two threads of one CPU find the stack full and not yet at its largest") {
    let heap = try SmallHeap(.rseq, size: 512)
    let objects = heap.take(18)
    heap.give(Array(objects[0..<16]))
    return world(heap, cpus: [0, 0], { heap.give(objects[16]) }, { heap.give(objects[17]) })
  },

  Scenario("heap-flush-refill", "a full stack is flushed to the depot while another CPU refills from it") {
    let heap = try SmallHeap(.rseq)
    let full = heap.info.capacity
    let objects = heap.take(full + heap.info.batch)
    heap.give(Array(objects[0..<full]))
    heap.requireFullStack(onCPU: 0)
    return world(heap, { heap.give(objects[full]) }, { heap.take() })
  },

  Scenario("heap-refill-refill", "two CPUs refill when the depot has one magazine, and a third flushes another") {
    let heap = try SmallHeap(.rseq)
    SimulatedSystem.prepare(onCPU: 1)
    // One more than a stack holds goes back, so that the depot has a magazine, and then as many as fill it again.
    let back = heap.info.capacity + heap.info.batch
    let objects = heap.take(back + heap.info.batch)
    heap.give(Array(objects[0..<back]))
    heap.requireFullStack(onCPU: 1)
    return world(heap, cpus: [0, 2, 1], { heap.take() }, { heap.take() }, { heap.give(objects[back]) })
  },

  Scenario("heap-refill-partial", "two CPUs refill from a depot of magazines that are not full") {
    let heap = try SmallHeap(.rseq)
    SimulatedSystem.prepare(onCPU: 1)
    let objects = heap.take(3)
    heap.putMagazines(objects, of: 1)
    return world(heap, cpus: [0, 2], { heap.take() }, { heap.take() })
  },

  Scenario(
    "heap-migration", "a thread may move to another CPU between any two sections; a thread of that CPU works there"
  ) {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(2))
    SimulatedSystem.setMigration(true)
    return world(heap, cpus: [0, 1], { if let object = heap.take() { heap.give(object) } }, { heap.take() })
  },

  Scenario(
    "heap-migration-unsized",
    "a thread that frees without a size looks at the stack of a CPU that it has left, and another one works there"
  ) {
    let heap = try SmallHeap(.rseq)
    let objects = heap.take(2)
    heap.give(objects[0])
    SimulatedSystem.setMigration(true)
    return world(
      heap, cpus: [0, 0], { if let object = heap.take() { heap.giveUnsized(object) } }, { heap.give(objects[1]) })
  },

  Scenario(
    "heap-empty-own", "a thread that empties its own stacks may move to a CPU of another node between any two steps"
  ) {
    let heap = try SmallHeap(.rseq, nodes: 2)
    heap.give(heap.take(2))
    SimulatedSystem.setMigration(true)
    return world(heap, cpus: [0], { heap.state.emptyOwnStacks() })
  },

  Scenario("heap-drain-pop", "a drain meets an allocation on the CPU it drains") {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(2))
    return world(heap, cpus: [0, 1], { heap.take() }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-refused-2", "a drain whose second barrier the kernel refuses meets an allocation") {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(2))
    SimulatedSystem.setBarriers(1)
    return world(heap, cpus: [0, 1], { heap.take() }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-refused-3", "a drain whose third barrier the kernel refuses meets an allocation") {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(2))
    SimulatedSystem.setBarriers(2)
    return world(heap, cpus: [0, 1], { heap.take() }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-unsized", "a drain meets a free without a size of an object that the drain has given back") {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(1))
    return world(
      heap, cpus: [0, 1], { if let object = heap.take() { heap.giveUnsized(object) } }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-push", "a drain meets frees on the CPU it drains") {
    let heap = try SmallHeap(.rseq)
    let objects = heap.take(2)
    return world(heap, cpus: [0, 1], { heap.give(objects) }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-open", "a drain meets the opening of a stack on the CPU it drains") {
    let heap = try SmallHeap(.rseq)
    SimulatedSystem.prepare(onCPU: 1)
    let objects = heap.take(1)
    heap.state.regionIsUsed(0)
    return world(heap, cpus: [0, 1], { heap.give(objects) }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-flush", "a drain meets a flush and a refill on the CPU it drains") {
    let heap = try SmallHeap(.rseq)
    let full = heap.info.capacity
    let objects = heap.take(full + heap.info.batch)
    heap.give(Array(objects[0..<full]))
    heap.requireFullStack(onCPU: 0)
    return world(heap, cpus: [0, 1], { heap.give(objects[full]) }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-drain", "two drains meet on the same CPUs, and one of them allocates afterwards") {
    let heap = try SmallHeap(.rseq)
    heap.give(heap.take(2))
    return world(
      heap, cpus: [0, 1],
      {
        heap.state.drainAll()
        heap.take()
      }, { heap.state.drainAll() })
  },

  Scenario("heap-drain-same-cpu", "a drain meets a free by another thread of its own CPU") {
    let heap = try SmallHeap(.rseq)
    let objects = heap.take(2)
    heap.give(objects[0])
    return world(heap, cpus: [0, 0], { heap.give(objects[1]) }, { heap.state.drainAll() })
  },

  Scenario(
    "heap-thread-drain", "thread mode: a drain meets an allocation and a free of the thread that owns the region"
  ) {
    let heap = try SmallHeap(.thread)
    for slot in 0..<Int32(2) { _ = ka_thread_slot_claim(slot) }
    heap.give(heap.take(1))
    return world(heap, { if let object = heap.take() { heap.give(object) } }, { heap.state.drainAll() })
  },

  Scenario("heap-thread-drain-drain", "thread mode: two drains and a free") {
    let heap = try SmallHeap(.thread)
    for slot in 0..<Int32(3) { _ = ka_thread_slot_claim(slot) }
    let objects = heap.take(2)
    heap.give(objects[0])
    return world(heap, { heap.give(objects[1]) }, { heap.state.drainAll() }, { heap.state.drainAll() })
  },

  Scenario("heap-thread-elsewhere", "thread mode: a drain empties the region of a thread that works in another heap") {
    let heap = try SmallHeap(.thread)
    let other = try SmallHeap(.thread)
    for slot in 0..<Int32(2) { _ = ka_thread_slot_claim(slot) }
    other.give(other.take(1))
    return world(
      heap, { if let object = heap.take() { heap.give(object) } }, { other.state.drainAll() },
      check: { expect(other.state.region(0).fill(other.info) == 0, "a region was left alone whose owner is elsewhere") }
    )
  },

  Scenario("heap-thread-no-barrier", "thread mode without membarrier: a drain leaves the regions of others alone") {
    let heap = try SmallHeap(.thread)
    for slot in 0..<Int32(2) { _ = ka_thread_slot_claim(slot) }
    SimulatedSystem.setBarriers(0)
    heap.give(heap.take(1))
    return world(heap, { if let object = heap.take() { heap.give(object) } }, { heap.state.drainAll() })
  },

  Scenario("heap-thread-ended", "thread mode: two drains without membarrier of a region whose thread has ended") {
    let heap = try SmallHeap(.thread)
    for slot in 0..<Int32(2) { _ = ka_thread_slot_claim(slot) }
    ka_thread_slot_release(2)
    SimulatedSystem.setBarriers(0)
    SimulatedSystem.prepare(onCPU: 2)
    heap.give(heap.take(2))
    return world(heap, { heap.state.drainAll() }, { heap.state.drainAll() })
  },

  Scenario(
    "heap-collect", "an allocation meets everything that a shortage of memory does, depots and kept slabs included"
  ) {
    let heap = try SmallHeap(.rseq)
    let objects = heap.take(5)
    heap.give(objects)
    return world(heap, cpus: [0, 1], { heap.take() }, { heap.state.collect() })
  },

  Scenario("heap-trim", "memory goes back to the system while a thread allocates and frees, in shared mode") {
    let heap = try SmallHeap(.shared)
    heap.give(heap.take(1))
    return world(heap, { if let object = heap.take() { heap.give(object) } }, { heap.heap.trim() })
  },

  Scenario("heap-large", "large runs are allocated and freed, and resized in place, at once") {
    let heap = try SmallHeap(.shared, size: 40960)
    let objects = heap.take(1)
    return world(heap, { heap.give(objects) }, { if let object = heap.take() { heap.give(object) } })
  },

  Scenario("heap-outgoing", "an object is freed on another node's CPU and flushed home, while that node allocates") {
    let heap = try SmallHeap(.rseq, nodes: 2)
    SimulatedSystem.prepare(onCPU: 1)
    let objects = heap.take(34)
    SimulatedSystem.prepare(onCPU: 0)
    heap.give(Array(objects[0..<32]))
    return world(heap, cpus: [0, 1], { heap.give(objects[32]) }, { heap.take() })
  },

  Scenario("heap-outgoing-drain", "a drain meets a free of another node's object") {
    let heap = try SmallHeap(.rseq, nodes: 2)
    SimulatedSystem.prepare(onCPU: 1)
    let objects = heap.take(2)
    SimulatedSystem.prepare(onCPU: 0)
    heap.give(objects[0])
    return world(heap, cpus: [0, 1], { heap.give(objects[1]) }, { heap.state.drainAll() })
  },

  Scenario("heap-destroy", "the last free, then, by a flag with release and acquire, the end of the heap") {
    let heap = try SmallHeap(.shared)
    let objects = heap.take(1)
    let flag = AtomicWord(arena(bytes: 64).assumingMemoryBound(to: UInt64.self))
    var world = world(
      heap,
      {
        heap.give(objects)
        flag.storeRelease(1)
      },
      {
        if flag.loadAcquire() == 1 { expect(heap.heap.destroy(), "an empty heap is not destroyed") }
      })
    world.check = { expect(ownedBlocks == 0, "a block is still owned") }
    return world
  },
]
