import KAllocAtomics
import Testing

@testable import Slab

private func fill(_ arena: Arena, _ first: FrameIndex, _ frames: Int) {
  arena.region.address(of: first).initializeMemory(as: UInt8.self, repeating: 0xee, count: frames << 12)
}

private func isZero(_ arena: Arena, _ first: FrameIndex, _ frames: Int) -> Bool {
  UnsafeRawBufferPointer(start: arena.region.address(of: first), count: frames << 12).allSatisfy { $0 == 0 }
}

@Test(arguments: [1, 30, 64, 200, 512, 1100])
func `what is purged reads as zero and is clean until it is freed again`(frames: Int) throws {
  let arena = try Arena(reservedFrames: 2048)
  let region = arena.region
  let keep = try #require(region.allocate(frames: 3))
  let first = try #require(region.allocate(frames: frames))
  #expect(region.isClean(first, frames: frames))
  fill(arena, first, frames)
  fill(arena, keep, 3)
  #expect(region.free(first, frames: frames))
  #expect(region.statistics().dirtyFrames == frames && region.validate() == nil)
  #expect(region.allocate(at: first, frames: frames))
  #expect(!region.isClean(first, frames: frames) && !region.isClean(first, frames: 1))
  #expect(region.free(first, frames: frames))
  #expect(region.purge(upTo: .max) == frames)
  #expect(region.statistics().dirtyFrames == 0 && region.validate() == nil)
  #expect(region.purge(upTo: .max) == 0)
  #expect(region.allocate(at: first, frames: frames))
  #expect(region.isClean(first, frames: frames) && isZero(arena, first, frames))
  #expect(!isZero(arena, keep, 1), "an allocated frame keeps its contents")
}

@Test func `a purge keeps to its budget`() throws {
  let arena = try Arena(reservedFrames: 2048)
  let region = arena.region
  #expect(region.allocate(at: FrameIndex(0), frames: 2048) && region.free(FrameIndex(0), frames: 2048))
  #expect(region.purge(upTo: 0) == 0)
  #expect(region.purge(upTo: 100) == 100)
  #expect(region.statistics().dirtyFrames == 1948)
  #expect(region.purge(upTo: 600) == 600)
  #expect(region.statistics().dirtyFrames == 1348 && region.validate() == nil)
  #expect(region.purge(upTo: .max) == 1348 && region.validate() == nil && region.isWhollyFree)
}

@Test func `a purge leaves young blocks alone`() throws {
  let arena = try Arena(reservedFrames: 1024)
  let region = arena.region
  #expect(region.allocate(at: FrameIndex(0), frames: 1024) && region.free(FrameIndex(0), frames: 500))
  #expect(region.purge(upTo: .max, olderThan: 100, now: 1000) == 0)
  #expect(region.purge(upTo: .max, olderThan: 100, now: 1099) == 0)
  #expect(region.free(FrameIndex(600), frames: 10))
  #expect(region.purge(upTo: .max, olderThan: 100, now: 1100) == 500)
  #expect(region.free(FrameIndex(700), frames: 10))
  #expect(region.purge(upTo: .max, olderThan: 100, now: 1200) == 0, "freed into since")
  #expect(region.purge(upTo: .max, olderThan: 100, now: 1300) == 20)
  #expect(region.validate() == nil && region.statistics().dirtyFrames == 0)
}

@Test func `frames given back untouched stay clean`() throws {
  let arena = try Arena(reservedFrames: 512)
  let run = try #require(arena.region.claimRow(upTo: 64, order: Order(0)))
  #expect(arena.region.freeRow(run.first, run.mask & 0xff, touched: false))
  #expect(arena.region.freeRow(run.first, run.mask & ~0xff))
  #expect(arena.region.statistics().dirtyFrames == 56)
  #expect(arena.region.allocate(at: run.first, frames: 64))
  #expect(arena.region.isClean(run.first, frames: 8) && !arena.region.isClean(run.first, frames: 9))
}

@Test func `a given region is never purged and never clean`() throws {
  let arena = try Arena(givenFrames: 512)
  let first = try #require(arena.region.allocate(frames: 512))
  #expect(!arena.region.isClean(first, frames: 1))
  fill(arena, first, 512)
  #expect(arena.region.free(first, frames: 512) && arena.region.purge(upTo: .max) == 0)
  #expect(!isZero(arena, first, 1))
}

@Test func `a purge that lost frames of a row to others takes the rest`() throws {
  let arena = try Arena(reservedFrames: 512)
  let region = arena.region
  let first = try #require(region.allocate(frames: 40))
  #expect(region.free(first, frames: 40) && region.allocate(at: first.advanced(by: 3), frames: 30))
  fill(arena, first.advanced(by: 3), 30)
  var wanted = PageRegion.RowMasks(repeating: 0)
  wanted[0] = Row.mask(40)
  #expect(region.purge(wanted, of: 0) == 10)
  #expect(region.validate() == nil && region.statistics().allocatedFrames == 30)
  #expect(region.statistics().dirtyFrames == 0 && !isZero(arena, first.advanced(by: 3), 1))
  wanted[0] = Row.mask(from: 3, count: 30)
  #expect(region.purge(wanted, of: 0) == 0 && region.validate() == nil)
}
