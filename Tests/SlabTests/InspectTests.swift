import TestSupport
import Testing

@testable import Slab

/// F25, F26: usable sizes, and what the heap knows of an address.
@Suite struct `What a heap knows of an address` {
  @Test func `usable sizes are pure, monotone, at least the size, and what an allocation returns`() throws {
    try withHeap { heap in
      for alignment in [1, 16, 64, 512, 4096, 8192] {
        var last = 0
        for size in 1...16_384 {
          let usable = Heap.usableSize(size: size, alignment: alignment)!
          guard usable >= size, usable >= last else {
            Issue.record("\(usable) for size \(size), alignment \(alignment)")
            return
          }
          // The allocation itself for a sample; each class and its edges are in it.
          if usable != last || size % 61 == 0 {
            let block = try heap.allocate(size: size, alignment: alignment, flags: .kernel, node: nil)
            #expect(block.count == usable)
            #expect(heap.usableSize(of: block.baseAddress!) == usable)
            heap.deallocate(block.baseAddress!, size: size, alignment: alignment)
          }
          last = usable
        }
      }
    }
    #expect(Heap.usableSize(size: 0, alignment: 16) == nil)
    #expect(Heap.usableSize(size: -1, alignment: 16) == nil)
    #expect(Heap.usableSize(size: .max, alignment: 16) == nil)
    #expect(Heap.usableSize(size: 40_000, alignment: 16) == 40_960)
  }

  @Test func `blocks begin only where they begin`() throws {
    try withHeap { heap in
      let objects = try [16, 48, 100, 1000, 32_768].map { try #require(heap.allocate(size: $0)) }
      for object in objects {
        let usable = try #require(heap.usableSize(of: object))
        for offset in [1, 8, 15, usable - 1] where offset > 0 {
          #expect(heap.usableSize(of: object + offset) == nil)
          #expect(heap.owns(object + offset))
        }
      }
      let run = try #require(heap.allocate(size: 100_000))
      for offset in [1, 16, 4096, 8192, 99_999] { #expect(heap.usableSize(of: run + offset) == nil) }
      for object in objects { heap.deallocate(object) }
      heap.deallocate(run)
      heap.trim()
      #expect(heap.usableSize(of: run) == nil)
      for object in objects { #expect(heap.usableSize(of: object) == nil) }
    }
  }

  @Test func `foreign addresses are nobody's`() throws {
    try withHeap { heap in
      let foreign = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
      defer { foreign.deallocate() }
      for address in [foreign, UnsafeMutableRawPointer(bitPattern: 1)!, UnsafeMutableRawPointer(bitPattern: -4096)!] {
        #expect(!heap.owns(address))
        #expect(heap.usableSize(of: address) == nil)
        #expect(heap.node(of: address) == nil)
      }
    }
  }

  @Test func `blocks are freed by their address alone`() throws {
    try withHeap { heap in
      for size in [1, 16, 100, 4096, 30_000, 32_768, 32_769, 1 << 20, 2 << 30] {
        for alignment in [16, 4096, 65_536] {
          let block = try heap.allocate(size: size, alignment: alignment, flags: .kernel, node: nil)
          heap.deallocate(block.baseAddress!)
        }
      }
      #expect(heap.statistics().liveBytes == 0)
    }
  }

  @Test func `any size from the requested to the usable one frees a block`() throws {
    try withHeap { heap in
      for size in [100, 3000, 70_000] {
        let usable = try #require(Heap.usableSize(size: size, alignment: 16))
        for freed in [size, size + 1, usable] {
          let block = try #require(heap.allocate(size: size))
          heap.deallocate(block, size: freed)
        }
      }
    }
  }
}
