import Testing

@testable import StressKit

// Stamps and the shadow map, without an allocator.

@Test func `every byte that is stamped is looked at`() {
  for size in [1, 7, 8, 9, 63, 1023, 1024, 1025, 1088, 1537, 2000, 5000] {
    let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    defer { block.deallocate() }
    block.initializeMemory(as: UInt8.self, repeating: 0xAA, count: size)
    Stamp.write(99, to: block, size: size)
    #expect(Stamp.firstWrongByte(99, in: block, size: size) == nil)
    #expect(Stamp.firstWrongByte(98, in: block, size: size) != nil)
    var seen = 0
    for offset in 0..<size {
      let byte = block.load(fromByteOffset: offset, as: UInt8.self)
      block.storeBytes(of: byte ^ 0x40, toByteOffset: offset, as: UInt8.self)
      if let wrong = Stamp.firstWrongByte(99, in: block, size: size) {
        #expect(wrong == offset, "size \(size)")
        seen += 1
      }
      block.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
    // The last 64 bytes may be stamped twice; they are one byte each all the same.
    #expect(seen <= Stamp.checkedBytes(size: size))
    #expect(seen >= min(size, Stamp.dense))
  }
}

@Test func `what survives a change of size can be checked with the old stamp`() {
  let block = UnsafeMutableRawPointer.allocate(byteCount: 6000, alignment: 16)
  defer { block.deallocate() }
  for size in [100, 1100, 3000, 6000] {
    Stamp.write(5, to: block, size: size)
    for kept in stride(from: 1, to: size, by: 13) {
      #expect(Stamp.firstWrongByte(5, in: block, size: kept, whole: false) == nil, "\(kept) of \(size)")
    }
  }
}

@Test func `stamps of different addresses, sizes, serials and seeds differ`() {
  let stamps = [
    Stamp.make(seed: 1, address: 0x1000, size: 64, serial: 1),
    Stamp.make(seed: 2, address: 0x1000, size: 64, serial: 1),
    Stamp.make(seed: 1, address: 0x1010, size: 64, serial: 1),
    Stamp.make(seed: 1, address: 0x1000, size: 65, serial: 1),
    Stamp.make(seed: 1, address: 0x1000, size: 64, serial: 2),
  ]
  #expect(Set(stamps).count == stamps.count)
}

@Test func `blocks that share a granule overlap, and neighbours do not`() {
  let map = ShadowMap()
  defer { map.unmap() }
  #expect(map.claim(0x7F00_0000_0000, 24) == nil)
  #expect(map.claim(0x7F00_0000_0020, 1) == nil)
  #expect(map.claim(0x7F00_0000_0010, 16) == 0x7F00_0000_0010)
  #expect(map.release(0x7F00_0000_0020, 1) == nil)
  #expect(map.release(0x7F00_0000_0020, 1) == 0x7F00_0000_0020)
}

@Test func `a large block is claimed across words and leaves, and counted`() {
  let map = ShadowMap()
  defer { map.unmap() }
  let address: UInt = (1 << 30) - 4096 - 48
  #expect(map.claim(address, 3 << 20) == nil)
  #expect(map.heldGranules() == 3 << 16)
  #expect(map.claim(1 << 30, 16) == 1 << 30)
  #expect(map.release(address, 3 << 20) == nil)
  #expect(map.heldGranules() <= 1)
}

@Test func `draws stay below their bound and are repeatable`() {
  var one = RandomSource(seed: 3, stream: 1)
  var same = RandomSource(seed: 3, stream: 1)
  var other = RandomSource(seed: 3, stream: 2)
  var hits = [Int](repeating: 0, count: 10)
  for _ in 0..<10_000 {
    let draw = one.below(10)
    hits[draw] += 1
    #expect(draw == same.below(10))
    _ = other.next()
  }
  #expect(hits.allSatisfy { (800...1200).contains($0) })
  #expect(one.fingerprint == same.fingerprint)
  #expect(one.fingerprint != other.fingerprint)
}

@Test func `requests have valid sizes and alignments of all kinds`() {
  var random = RandomSource(seed: 4, stream: 1)
  var alignments = Set<Int>()
  var (smallest, largest) = (Int.max, 0)
  for _ in 0..<100_000 {
    let request = SizeMix.mixed.draw(&random)
    alignments.insert(request.alignment)
    smallest = min(smallest, request.size)
    largest = max(largest, request.size)
  }
  #expect(alignments == Set((0..<14).map { 1 << $0 }))
  #expect(smallest == 1)
  #expect((512 * 1024...1 << 20).contains(largest))
}
