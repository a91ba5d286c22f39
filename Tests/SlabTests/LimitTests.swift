import TestSupport
import Testing

@testable import Slab

/// F20's limit and F63's exhaustion, T41.
@Suite struct `A limit on committed bytes` {
  @Test(arguments: [1, 4], [SizeClass(holding: 64), SizeClass(holding: 48), SizeClass(holding: 5000)])
  func `gives exactly as many objects as so many slabs hold, then fails`(slabs: Int, sizeClass: SizeClass) throws {
    let geometry = SlabGeometry(sizeClass)
    try withHeap(limit: slabs * geometry.frames * 4096) { heap in
      for _ in 0..<2 {
        var blocks: [UnsafeMutableRawPointer] = []
        while let block = heap.allocate(size: sizeClass.bytes) { blocks.append(block) }
        #expect(blocks.count == slabs * geometry.objects)
        #expect(Set(blocks).count == blocks.count)
        #expect(throws: AllocError.limitExceeded) {
          try heap.allocate(size: sizeClass.bytes, alignment: 16, flags: .kernel, node: nil)
        }
        #expect(heap.validate() == nil)
        // One free makes room for one.
        heap.deallocate(blocks.removeLast(), size: sizeClass.bytes)
        blocks.append(try #require(heap.allocate(size: sizeClass.bytes)))
        #expect(heap.allocate(size: sizeClass.bytes) == nil)
        for block in blocks { heap.deallocate(block, size: sizeClass.bytes) }
      }
    }
  }

  @Test func `counts runs, pages and mappings to the byte`() throws {
    try withHeap(limit: 10 * 4096) { heap in
      let run = try heap.allocate(size: 9 * 4096, alignment: 16, flags: .kernel, node: nil)
      #expect(throws: AllocError.limitExceeded) {
        try heap.allocate(size: 2 * 4096, alignment: 8192, flags: .kernel, node: nil)
      }
      #expect(throws: AllocError.limitExceeded) { try heap.allocatePages(order: 1) }
      let page = try heap.allocatePages(order: 0)
      #expect(heap.committedBytes == 10 * 4096)
      #expect(throws: AllocError.limitExceeded) { try heap.allocatePages(order: 0) }
      heap.deallocatePages(page, order: 0)
      heap.deallocate(run.baseAddress!, size: 9 * 4096)
    }
    try withHeap(limit: 2 << 30) { heap in
      let block = try heap.allocate(size: 2 << 30, alignment: 16, flags: .kernel, node: nil)
      #expect(throws: AllocError.limitExceeded) { try heap.allocate(size: 1, alignment: 16, flags: .kernel, node: nil) }
      #expect(throws: AllocError.limitExceeded) {
        try heap.reallocate(
          block.baseAddress!, size: 2 << 30, alignment: 16, newSize: (2 << 30) + 1, newAlignment: 16, flags: .kernel,
          node: nil)
      }
      #expect(heap.committedBytes == 2 << 30)
      heap.deallocate(block.baseAddress!)
    }
  }

  @Test func `lets a block of unknown size stay where nothing smaller can be had`() throws {
    try withHeap(limit: 8 << 20) { heap in
      let run = try #require(heap.allocate(size: 100_000))
      var objects: [UnsafeMutableRawPointer] = []
      while let object = heap.allocate(size: 3000) { objects.append(object) }
      var pages: [UnsafeMutableRawPointer] = []
      while let page = try? heap.allocatePages(order: 0) { pages.append(page) }
      let object = try #require(objects.last)
      object.storeBytes(of: 77, as: UInt8.self)
      // No slab of this class exists, and none can be made.
      #expect(try heap.reallocateUnsized(object, newSize: 100) == object)
      #expect(object.load(as: UInt8.self) == 77)
      #expect(try heap.reallocateUnsized(run, newSize: 100) == run)
      #expect(throws: AllocError.limitExceeded) { try heap.reallocateUnsized(object, newSize: 1 << 20) }
      heap.deallocate(run)
      for object in objects { heap.deallocate(object) }
      for page in pages { heap.deallocatePages(page, order: 0) }
    }
  }

  @Test func `lets caches of other sizes give way`() throws {
    // Everything that 4 MiB hold in small objects is freed into the caches; then one run needs nearly all of it.
    try withHeap(limit: 4 << 20) { heap in
      for index in 0..<SizeClass.count {
        let size = SizeClass(index: index).bytes
        let block = try #require(heap.allocate(size: size))
        heap.deallocate(block, size: size)
      }
      let run = try heap.allocate(size: 4 << 20, alignment: 16, flags: .kernel, node: nil)
      #expect(heap.committedBytes == 4 << 20)
      heap.deallocate(run.baseAddress!)
    }
  }

  @Test func `is reported at once where reclaiming is not allowed`() throws {
    try withHeap(limit: 1 << 20) { heap in
      let block = try #require(heap.allocate(size: 64))
      heap.deallocate(block, size: 64)
      try #require(heap.committedBytes > 0)
      for flags in [AllocFlags.noWait, .atomic, []] {
        #expect(throws: AllocError.limitExceeded) {
          try heap.allocate(size: 1 << 20, alignment: 16, flags: flags, node: nil)
        }
      }
      let run = try heap.allocate(size: 1 << 20, alignment: 16, flags: .kernel, node: nil)
      heap.deallocate(run.baseAddress!)
    }
  }

  @Test func `leaves large blocks of other lengths on their stacks where reclaiming is not allowed`() throws {
    try withHeap(limit: 1 << 20) { heap in
      guard try heap.state().get().caches else { return }
      let cached = try #require(heap.allocate(size: 500_000))
      heap.deallocate(cached, size: 500_000)
      #expect(throws: AllocError.limitExceeded) {
        try heap.allocate(size: 600_000, alignment: 16, flags: .atomic, node: nil)
      }
      let run = try heap.allocate(size: 600_000, alignment: 16, flags: .kernel, node: nil)
      #expect(heap.committedBytes == run.count)
      heap.deallocate(run.baseAddress!)
    }
  }

  @Test func `can be changed, also below what is committed`() throws {
    try withHeap { heap in
      #expect(heap.limit == .max)
      let block = try heap.allocate(size: 1 << 20, alignment: 16, flags: .kernel, node: nil)
      heap.limit = 4096
      #expect(heap.limit == 4096)
      #expect(throws: AllocError.limitExceeded) { try heap.allocatePages(order: 0) }
      #expect(heap.committedBytes == 1 << 20)
      heap.limit = -5
      #expect(heap.limit == 0)
      heap.deallocate(block.baseAddress!)
      #expect(heap.allocate(size: 16) == nil)
      heap.limit = .max
      let other = try #require(heap.allocate(size: 16))
      heap.deallocate(other, size: 16)
    }
  }
}
