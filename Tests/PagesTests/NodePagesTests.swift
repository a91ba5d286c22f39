import KAllocAtomics
import Testing

@testable import Slab

private final class List {
  let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  let pages: NodePages
  init() {
    word.initialize(to: 0)
    pages = NodePages(head: AtomicWord(word))
  }
  deinit { word.deallocate() }
}

@Test func `where one region is exhausted the next one serves, but not another node's`() throws {
  let near = List()
  let far = List()
  let first = try Arena(givenFrames: 10)
  let second = try Arena(givenFrames: 20)
  let other = try Arena(givenFrames: 30)
  defer { withExtendedLifetime((near, far, first, second, other)) {} }
  #expect(near.pages.allocate(frames: 1) == nil && near.pages.claimRow(upTo: 1, order: Order(0)) == nil)
  near.pages.add(first.region)
  near.pages.add(second.region)
  far.pages.add(other.region)
  for index in 0..<30 {
    let (region, frame) = try #require(near.pages.allocate(frames: 1))
    #expect(region == (index < 10 ? first.region : second.region))
    #expect(near.pages.region(containing: region.address(of: frame) + 100) == region)
    #expect(far.pages.region(containing: region.address(of: frame)) == nil)
  }
  #expect(near.pages.allocate(frames: 1) == nil)
  let statistics = near.pages.statistics()
  #expect(statistics.totalFrames == 30 && statistics.freeFrames == 0)
  #expect(far.pages.statistics().freeFrames == 30)
  #expect(second.region.free(second.region.firstFrame, frames: 2))
  let (region, run) = try #require(near.pages.claimRow(upTo: 64, order: Order(0)))
  #expect(region == second.region && run.frames == 2)
  #expect(near.pages.validate() == nil && near.pages.purge(upTo: .max) == 0)
}

@Test func `a purge goes through the regions until its budget is spent`() throws {
  let list = List()
  let arenas = [try Arena(reservedFrames: 512), try Arena(reservedFrames: 512)]
  defer { withExtendedLifetime((list, arenas)) {} }
  for arena in arenas {
    list.pages.add(arena.region)
    #expect(arena.region.allocate(frames: 100)?.rawValue == 0 && arena.region.free(FrameIndex(0), frames: 100))
  }
  #expect(list.pages.purge(upTo: 150) == 150)
  #expect(list.pages.statistics().dirtyFrames == 50)
  #expect(list.pages.purge(upTo: 150) == 50 && list.pages.validate() == nil)
}
