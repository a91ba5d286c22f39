import Glibc
import KAllocAtomics
import Testing

import func TestSupport.scaled

@testable import Slab

@Test(arguments: [1, 2, 5, 63, 64, 65, 511, 512, 513, 700, 1024, 2000], [0, 1, 63, 100, 511])
func `a given range of any length and place gives exactly its frames`(frames: Int, offset: Int) throws {
  let arena = try Arena(givenFrames: frames, shift: 4, offset: offset)
  let region = arena.region
  #expect(region.frameCount == frames && region.statistics().freeFrames == frames)
  var seen = Set<Int>()
  while let frame = region.allocate(frames: 1) {
    let offset = try #require(arena.offset(frame))
    #expect(offset >= 0 && offset < frames * 16 && seen.insert(offset).inserted)
  }
  #expect(seen.count == frames)
  #expect(region.validate() == nil && region.statistics().freeFrames == 0)
  for offset in seen.shuffled() {
    let frame = try #require(region.frame(of: region.base + offset))
    #expect(region.free(frame, frames: 1))
  }
  #expect(region.isWhollyFree && region.validate() == nil)
  let whole = try #require(region.allocate(frames: frames))
  #expect(arena.offset(whole) == 0 && region.statistics().freeFrames == 0)
  #expect(region.allocate(frames: 1) == nil)
  #expect(region.free(whole, frames: frames) && region.isWhollyFree && region.validate() == nil)
}

@Test(arguments: [1, 100, 512, 1025, 1500], [0, 3, 511])
func `a reserved range of any length and place gives exactly its frames`(frames: Int, offset: Int) throws {
  let arena = try Arena(reservedFrames: frames, offset: offset)
  let region = arena.region
  var count = 0
  while let frame = region.allocate(frames: 1) {
    count += 1
    region.address(of: frame).storeBytes(of: 1, as: UInt8.self)
  }
  #expect(count == frames && region.validate() == nil)
  #expect(region.free(region.firstFrame, frames: frames) && region.isWhollyFree && region.validate() == nil)
  let whole = try #require(region.allocate(frames: frames))
  #expect(region.free(whole, frames: frames) && region.validate() == nil)
}

@Test func `a range that cannot be used is refused with its reason`() throws {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 4096)
  defer { memory.deallocate() }
  let base = memory.baseAddress!
  let node = NodeIndex(0)
  func reason(
    _ base: UnsafeMutableRawPointer, _ bytes: Int, shift: Int = 12, backing: PageRegion.Backing = .given,
    metadata: UnsafeMutableRawBufferPointer? = nil
  ) -> AllocError? {
    do throws(AllocError) {
      _ = try PageRegion.create(
        base: base, bytes: bytes, frameShift: shift, node: node, backing: backing, metadata: metadata)
      return nil
    } catch {
      return error
    }
  }
  let metadata = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 64)
  defer { metadata.deallocate() }
  #expect(reason(base, 0) == .invalidLayout)
  #expect(reason(base, -4096) == .invalidLayout)
  #expect(reason(base, Int.max, metadata: metadata) == .invalidLayout)
  #expect(reason(base + 1, 4096, metadata: metadata) == .invalidLayout)
  #expect(reason(base, 4095, metadata: metadata) == .invalidLayout)
  #expect(reason(base, 1 << 16, shift: 3, metadata: metadata) == .unsupportedAlignment)
  #expect(reason(base, 1 << 16, shift: 31, metadata: metadata) == .unsupportedAlignment)
  #expect(reason(base, 1 << 16, shift: 4, backing: .reserved) == .unsupportedAlignment)
  #expect(reason(base, 1 << 16, metadata: UnsafeMutableRawBufferPointer(rebasing: metadata[..<64])) == .invalidLayout)
  #expect(reason(base, 64, shift: 4) == .outOfMemory)
  #expect(reason(UnsafeMutableRawPointer(bitPattern: UInt.max - 100)!, 100, metadata: metadata) == .invalidLayout)
  #expect(reason(base, Int.max & ~4095, backing: .reserved) == .outOfMemory)
  #expect(reason(base, 1 << 16, metadata: metadata) == nil)
}

@Test func `metadata is carved from the front of a given range`() throws {
  let bytes = 1 << 20
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 16)
  defer { memory.deallocate() }
  memory.initializeMemory(as: UInt8.self, repeating: 0xaa)
  let region = try PageRegion.create(base: memory.baseAddress!, bytes: bytes, node: NodeIndex(3), backing: .given)
  #expect(region.node == NodeIndex(3))
  #expect(region.frameCount >= 254 && region.validate() == nil)
  while let frame = region.allocate(frames: 1) {
    let address = region.address(of: frame)
    #expect(address >= memory.baseAddress! && address + 4096 <= memory.baseAddress! + bytes)
    memset(address, 0xff, 4096)
  }
  #expect(region.validate() == nil && region.statistics().freeFrames == 0)
}

@Test func `addresses and frames are each other's inverse, inside the range only`() throws {
  let arena = try Arena(givenFrames: 100, offset: 37)
  let region = arena.region
  #expect(region.firstFrame.rawValue == 37)
  #expect(region.frame(of: region.base - 1) == nil && !region.contains(region.base - 1))
  #expect(region.frame(of: region.base + (100 << 12)) == nil)
  for index in 0..<100 {
    let address = region.base + (index << 12)
    #expect(region.frame(of: address + 5) == FrameIndex(37 + index))
    #expect(region.address(of: FrameIndex(37 + index)) == address)
  }
}

@Test func `the attachment is what was set`() throws {
  let arena = try Arena(givenFrames: 16)
  #expect(arena.region.attachment == nil)
  arena.region.attachment = arena.region.base
  #expect(arena.region.attachment == arena.region.base)
}

@Test func `requests that make no sense are refused, however large`() throws {
  let arena = try Arena(reservedFrames: 2048)
  let region = arena.region
  for frames in [Int.min, -1, 0, 2049, 1 << 40, Int.max - 1, Int.max] {
    #expect(region.allocate(frames: frames) == nil)
    #expect(region.allocate(frames: frames, alignment: 64) == nil)
    #expect(!region.free(region.firstFrame, frames: frames))
    #expect(!region.allocate(at: region.firstFrame, frames: frames))
    #expect(!region.extend(region.firstFrame, frames: 1, by: frames))
  }
  for alignment in [Int.min, -1, 0, 3, 6, 1 << 41, 1 << 62, Int.max] {
    #expect(region.allocate(frames: 1, alignment: alignment) == nil)
  }
  for frame in [Int.min, -1, 2048, Int.max] {
    #expect(!region.free(FrameIndex(frame), frames: 1))
    #expect(!region.allocate(at: FrameIndex(frame), frames: 1))
  }
  #expect(!region.free(FrameIndex(2047), frames: 2))
  #expect(region.claimRow(upTo: 0, order: Order(0)) == nil)
  #expect(region.claimRow(upTo: 7, order: Order(3)) == nil)
  #expect(region.claimRow(upTo: 64, order: Order(7)) == nil)
  #expect(region.claimRow(upTo: .max, order: Order(-1)) == nil)
  #expect(!region.freeRow(FrameIndex(0), 0) && !region.freeRow(FrameIndex(1), 1))
  #expect(region.validate() == nil && region.statistics().committedFrames == 0)
}

@Test func `every size up to the region is served by a fresh region, aligned as asked`() throws {
  for frames in 1...1500 {
    let arena = try Arena(givenFrames: 1536, shift: 4)
    let alignment = 1 << (frames % 7)
    let first = try #require(arena.region.allocate(frames: frames, alignment: alignment))
    #expect(Int(bitPattern: arena.region.address(of: first)) % (16 * alignment) == 0)
    #expect(arena.region.statistics().allocatedFrames == frames)
  }
}

@Test func `orders above a block are aligned by address`() throws {
  // The region begins one block behind a multiple of four.
  let bytes = 32 << 20
  let memory = try #require(ka_os_reserve(bytes, 8 << 20))
  defer { ka_os_unmap(memory, bytes) }
  let region = try PageRegion.create(
    base: memory + (2 << 20), bytes: bytes - (2 << 20), node: NodeIndex(0), backing: .reserved)
  defer { region.destroy() }
  let first = try #require(region.allocate(frames: 2048, alignment: 2048))
  #expect(Int(bitPattern: region.address(of: first)) % (8 << 20) == 0)
  #expect(region.validate() == nil)
}

@Test func `a large region touches few pages of its metadata`() throws {
  let arena = try Arena(reservedFrames: scaled(1 << 26))  // 256 GiB
  let region = arena.region
  for _ in 0..<100 { _ = region.allocate(frames: 7) }
  _ = region.statistics()
  #expect(region.validate() == nil)
  let mapping = UnsafeMutableRawPointer(bitPattern: region.header.pointee.mapping)!
  let pages = region.header.pointee.mappingBytes / 4096
  var resident = [UInt8](repeating: 0, count: pages)
  #expect(mincore(mapping, pages * 4096, &resident) == 0)
  let touched = resident.reduce(0) { $0 + Int($1 & 1) }
  #expect(pages > scaled(4000) && touched <= 4, "\(touched) of \(pages)")
}

@Test func `the last frames are for those who may use the reserve`() throws {
  let arena = try Arena(givenFrames: 600, reserveFrames: 50)
  let region = arena.region
  #expect(region.allocate(frames: 551) == nil)
  #expect(region.allocate(frames: 500) != nil)
  var claimed = 0
  while let run = region.claimRow(upTo: 64, order: Order(0)) { claimed += run.frames }
  #expect(claimed == 50)
  #expect(region.allocate(frames: 1) == nil && !region.allocate(at: FrameIndex(599), frames: 1))
  #expect(region.claimRow(upTo: 64, order: Order(0)) == nil)
  #expect(region.validate() == nil)
  var last = 0
  while region.allocate(frames: 1, flags: .atomic) != nil { last += 1 }
  #expect(last == 50 && region.validate() == nil)
  #expect(region.free(FrameIndex(0), frames: 50))
  #expect(region.allocate(frames: 1) == nil)
  #expect(region.free(FrameIndex(50), frames: 1))
  #expect(region.allocate(frames: 1) != nil && region.allocate(frames: 1) == nil)
  #expect(region.validate() == nil)
}
