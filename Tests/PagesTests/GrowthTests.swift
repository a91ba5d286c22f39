import Glibc
import KAllocAtomics
import Testing

@testable import Slab

/// Makes the operating system refuse to commit these frames: a mapping of a file opened for reading only may not
/// become writable.
private func forbid(_ region: PageRegion, _ first: Int, _ frames: Int) {
  let file = open("/proc/self/exe", O_RDONLY)
  let start = region.address(of: FrameIndex(first))
  #expect(mmap(start, frames << 12, PROT_NONE, MAP_SHARED | MAP_FIXED, file, 0) == start)
  close(file)
}

private func allow(_ region: PageRegion, _ first: Int, _ frames: Int) {
  let start = region.address(of: FrameIndex(first))
  #expect(mmap(start, frames << 12, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start)
}

@Test func `a refusal to grow loses nothing`() throws {
  let arena = try Arena(reservedFrames: 4 * 512)
  let region = arena.region
  forbid(region, 512, 512)
  #expect(region.allocate(frames: 2000) == nil)
  #expect(region.validate() == nil)
  #expect(region.statistics().allocatedFrames == 0)
  var count = 0
  while region.allocate(frames: 1) != nil { count += 1 }
  #expect(count == region.statistics().committedFrames, "what was committed can be allocated")
  #expect(region.validate() == nil)
  #expect(!region.allocate(at: FrameIndex(600), frames: 1))
  #expect(region.allocate(at: FrameIndex(0), frames: 512) || region.free(FrameIndex(0), frames: 512))
  #expect(region.isWhollyFree && region.validate() == nil)
  #expect(region.allocate(frames: 512)?.rawValue == 0)
  #expect(!region.extend(FrameIndex(0), frames: 512, by: 1))
}

@Test func `a refused block is taken later, when there is memory again`() throws {
  let arena = try Arena(reservedFrames: 2048)
  let region = arena.region
  #expect(region.allocate(frames: 500)?.rawValue == 0)
  forbid(region, 512, 1536)
  #expect(region.allocate(frames: 13) == nil && region.allocate(frames: 1536) == nil)
  #expect(region.allocate(frames: 100) == nil && region.allocate(at: FrameIndex(512), frames: 1536) == false)
  #expect(region.claimRow(upTo: 64, order: Order(4)) == nil)
  #expect(region.validate() == nil && region.statistics().committedFrames == 512)
  allow(region, 512, 1536)
  #expect(region.allocate(frames: 13)?.rawValue == 512)
  #expect(region.allocate(at: FrameIndex(525), frames: 1523) && region.validate() == nil)
  #expect(region.allocate(frames: 12)?.rawValue == 500 && region.allocate(frames: 1) == nil)
}

@Test func `a run across present and absent blocks grows only what it needs`() throws {
  let arena = try Arena(reservedFrames: 8 * 512)
  let region = arena.region
  #expect(region.allocate(frames: 300)?.rawValue == 0)
  #expect(region.extend(FrameIndex(0), frames: 300, by: 1300))
  #expect(region.statistics().committedFrames == 2048 && region.validate() == nil)
  region.address(of: FrameIndex(0)).initializeMemory(as: UInt8.self, repeating: 1, count: 1600 << 12)
}
