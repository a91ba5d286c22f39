import Glibc
import Slab
import Testing

@Test func `pages larger than a block come back to given memory that is aligned to blocks only`() throws {
  let bytes = 32 << 20
  let step = 2 << 20
  let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes + step, alignment: 2 * step)
  defer { memory.deallocate() }
  for offset in [0, step] {
    var configuration = HeapConfiguration()
    configuration.memory = HeapConfiguration.Memory(memory + offset, bytes: bytes)
    let heap = try Heap.create(configuration)
    for order in 9...11 {
      let pages = try heap.allocatePages(order: order)
      #expect(UInt(bitPattern: pages) % (4096 << UInt(order)) == 0)
      heap.deallocatePages(pages, order: order)
    }
    #expect(heap.committedBytes == 0)
  }
}

@Test func `pages of a slab are no pages to free`() async {
  for order in [0, 4] {
    await #expect(processExitsWith: .failure) { [order = order as Int] in
      var configuration = HeapConfiguration()
      configuration.mode = .shared
      let heap = try Heap.create(configuration)
      // The first object of a slab: aligned to the slab, which has 64 KiB.
      var block = try heap.allocate(size: 8192, alignment: 16, flags: .kernel, node: nil).baseAddress!
      while UInt(bitPattern: block) % 65536 != 0 {
        block = try heap.allocate(size: 8192, alignment: 16, flags: .kernel, node: nil).baseAddress!
      }
      heap.deallocatePages(block, order: order)
      exit(0)
    }
  }
}

@Test(arguments: [0, 4])
func `pages inside a large block, and those of another order, are no pages to free`(order: Int) async {
  await #expect(processExitsWith: .failure) { [order = order as Int] in
    let heap = try Heap.create(HeapConfiguration())
    let block = try heap.allocate(size: 1 << 20, alignment: 1 << 16, flags: .kernel, node: nil).baseAddress!
    heap.deallocatePages(block + (4096 << order), order: order)
    heap.drain()
    exit(0)
  }
  await #expect(processExitsWith: .failure) { [order = order as Int] in
    let heap = try Heap.create(HeapConfiguration())
    let pages = try heap.allocatePages(order: order == 0 ? 1 : 2)
    heap.deallocatePages(pages, order: order == 0 ? 0 : 3)
    heap.drain()
    exit(0)
  }
}

@Test func `addresses that begin no block belong to no heap`() throws {
  let heap = try Heap.create(HeapConfiguration())
  for address in [1, 16, 4096, -1] {
    #expect(heap.usableSize(of: UnsafeRawPointer(bitPattern: address)!) == nil)
  }
  #expect(heap.destroy())
}
