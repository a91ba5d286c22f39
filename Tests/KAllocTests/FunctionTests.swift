import KAlloc
import Testing

@Suite struct FunctionTests {
  @Test func `the C-shaped functions allocate, resize and free`() {
    let block = alloc(100)!
    block.storeBytes(of: 0x1234_5678, as: UInt32.self)
    let grown = realloc(block, 100, newSize: 100_000)!
    #expect(grown.load(as: UInt32.self) == 0x1234_5678)
    let shrunk = realloc(grown, 100_000, newSize: 20)!
    #expect(shrunk.load(as: UInt32.self) == 0x1234_5678)
    dealloc(shrunk, 20)
  }

  @Test func `zeroed blocks are zero where dirty ones were just freed`() {
    for size in [1, 16, 100, 5000, 100_000] {
      let dirty = alloc(size)!
      dirty.initializeMemory(as: UInt8.self, repeating: 0xFF, count: size)
      dealloc(dirty, size)
      let zeroed = allocZeroed(size)!
      #expect((0..<size).allSatisfy { zeroed.load(fromByteOffset: $0, as: UInt8.self) == 0 })
      dealloc(zeroed, size)
    }
  }

  @Test func `alignment is honoured`() {
    for shift in 0...13 {
      let alignment = 1 << shift
      for size in [1, 100, 5000] {
        let block = alloc(size, alignment: alignment)!
        let zeroed = allocZeroed(size, alignment: alignment)!
        #expect(UInt(bitPattern: block) % UInt(alignment) == 0 && UInt(bitPattern: zeroed) % UInt(alignment) == 0)
        let grown = realloc(block, size, newSize: 3 * size, alignment: alignment)!
        #expect(UInt(bitPattern: grown) % UInt(alignment) == 0)
        dealloc(grown, 3 * size, alignment: alignment)
        dealloc(zeroed, size, alignment: alignment)
      }
    }
  }

  @Test func `no bytes are an address that is not null, and freeing it does nothing`() {
    let none = alloc(0)
    #expect(none != nil && none == UnsafeMutableRawPointer(bitPattern: 16))
    #expect(allocZeroed(0, alignment: 64) == UnsafeMutableRawPointer(bitPattern: 64))
    dealloc(none, 0)
    dealloc(none, 0)
    dealloc(nil, 100)
    let block = realloc(none, 0, newSize: 10)
    #expect(block != nil && block != none)
    #expect(realloc(block, 10, newSize: 0) == none)
    let fresh = realloc(nil, 100, newSize: 10)
    #expect(fresh != nil)
    dealloc(fresh, 10)
  }

  @Test func `arguments that make no layout answer nil, and keep the block`() {
    for size in [-1, Int.min, Int.max, 1 << 62, Int.max - 4095] {
      #expect(alloc(size) == nil)
      #expect(allocZeroed(size) == nil)
      #expect(realloc(nil, 0, newSize: size) == nil)
    }
    for alignment in [0, -1, 3, 24, Int.min, Int.max] {
      #expect(alloc(10, alignment: alignment) == nil)
      #expect(alloc(0, alignment: alignment) == nil)
      #expect(allocZeroed(10, alignment: alignment) == nil)
    }
    let block = alloc(10)!
    block.storeBytes(of: 77, as: UInt8.self)
    #expect(realloc(block, 10, newSize: -1) == nil)
    #expect(realloc(block, 10, newSize: .max) == nil)
    #expect(block.load(as: UInt8.self) == 77)
    dealloc(block, 10)
  }
}
