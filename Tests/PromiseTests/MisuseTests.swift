// P5: nothing that a program writes into memory that it owns or owned reaches the allocator, and misuse ends the
// process with the name of the rule.
//
// Seen to fail: with a free list threaded through the objects the scribbling corrupts the heap; with the checks of
// `SlabTable.give` and `HeapState.check` taken out the children end well.

import Slab
import TestSupport
import Testing

@Suite struct Misuse {
  @Test func `a program that scribbles over everything it freed corrupts nothing`() throws {
    let heap = try Heap.create(HeapConfiguration())
    var random = Random(seed: 5)
    for _ in 0..<20 {
      var blocks: [(UnsafeMutableRawPointer, Int)] = []
      for _ in 0..<400 {
        let size = 1 + random.below(3000)
        let block = try #require(heap.allocate(size: size))
        blocks.append((block, size))
      }
      for (block, size) in blocks { heap.deallocate(block, size: size) }
      // Freed, and written all over by a program that does not care.
      for (block, size) in blocks { block.initializeMemory(as: UInt8.self, repeating: 0xff, count: size) }
      #expect(heap.validate() == nil)
    }
    heap.trim()
    #expect(heap.validate() == nil)
    #expect(heap.committedBytes == 0)
    #expect(heap.destroy())
  }

  @Test func `a double free ends the process with its name when the object leaves the caches`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap.create(HeapConfiguration())
      let block = heap.allocate(size: 64)!
      heap.deallocate(block, size: 64)
      heap.deallocate(block, size: 64)
      heap.trim()
    }
    expect(result, says: "double free")
  }

  @Test func `a double free of a run ends the process with its name at once`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap.create(HeapConfiguration())
      let block = heap.allocate(size: 1 << 20)!
      heap.deallocate(block, size: 1 << 20)
      heap.deallocate(block, size: 1 << 20)
    }
    expect(result, says: "foreign free")
  }

  @Test func `a foreign pointer ends the process with the name of the rule`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap.create(HeapConfiguration())
      heap.deallocate(heap.allocate(size: 64)!, size: 64)
      let foreign = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
      heap.deallocate(foreign, size: 64)
      heap.trim()
    }
    expect(result, says: "foreign free")
  }

  @Test func `a pointer into an object ends the process with the name of the rule`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap.create(HeapConfiguration())
      let block = heap.allocate(size: 64)!
      heap.deallocate(block + 16, size: 64)
      heap.trim()
    }
    expect(result, says: "foreign free")
  }

  #if DEBUG
    @Test func `a wrong size ends the process with the name of the rule in debug builds`() async {
      let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let heap = try Heap.create(HeapConfiguration())
        heap.deallocate(heap.allocate(size: 64)!, size: 200)
      }
      expect(result, says: "wrong layout")
    }
  #endif

  @Test func `pages freed twice end the process with the name of the rule`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap.create(HeapConfiguration())
      let pages = try heap.allocatePages(order: 5)
      heap.deallocatePages(pages, order: 5)
      heap.deallocatePages(pages, order: 5)
    }
    expect(result, says: "double free")
  }

  private func expect(_ result: ExitTest.Result?, says rule: String) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("kalloc: \(rule)"))
  }
}
