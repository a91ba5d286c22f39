import KAllocAtomics
import Testing

@testable import Slab

// A thread may stop, or be killed, at any instruction. Each test leaves an operation where it would then stand, and
// shows that the others are served, at the cost of what that operation held and of nothing else.

@Test func `a taker that stops between reserving and taking costs what it reserved`() throws {
  let arena = try Arena(givenFrames: 1024, shift: 4)
  let region = arena.region
  #expect(region.reserve(0, 10) != nil)
  #expect(region.allocate(frames: 1024) == nil && region.allocate(frames: 512)?.rawValue == 512)
  #expect(region.allocate(frames: 503) == nil)
  var count = 0
  while region.allocate(frames: 1) != nil { count += 1 }
  #expect(count == 502)
  #expect(region.free(FrameIndex(512), frames: 512) && region.allocate(frames: 512)?.rawValue == 512)
  // It goes on: the frames that it has reserved are there.
  var found = 0
  for row in 0..<8 { found += (~region.row(row).bits).nonzeroBitCount }
  #expect(found == 10)
  region.returnFrames(0, 10, order: -1)
  #expect(region.validate() == nil && region.statistics().freeFrames == 10)
}

@Test func `a freer that stops between clearing and adding costs what it freed`() throws {
  let arena = try Arena(givenFrames: 512, shift: 4)
  let region = arena.region
  #expect(region.allocate(frames: 512)?.rawValue == 0)
  #expect(region.clearRow(3, 0xff, dirty: false).cleared == 0xff)
  #expect(region.free(FrameIndex(64), frames: 64))
  var count = 0
  while region.allocate(frames: 1) != nil { count += 1 }
  #expect(count == 64)
  region.returnFrames(0, 8, order: 3)
  #expect(region.validate() == nil && region.allocate(frames: 8, alignment: 8) != nil)
}

@Test func `a search that stops after lowering a hint hides nothing from the last search`() throws {
  let arena = try Arena(givenFrames: 2048, shift: 4)
  let region = arena.region
  for block in 0..<4 {
    for tier in 0...Tier.whole {
      _ = region.hintWord(tree: 0, tier: tier).fetchAndSequentiallyConsistent(~(1 << UInt64(block)))
    }
  }
  #expect(region.allocate(frames: 1)?.rawValue == 0)
  #expect(region.claimRow(upTo: 64, order: Order(6))?.first.rawValue == 64)
  #expect(region.allocate(frames: 300)?.rawValue == 128)
  #expect(region.allocate(frames: 1024) != nil)
  var count = 0
  while region.allocate(frames: 1) != nil { count += 1 }
  #expect(count == 2048 - 1 - 64 - 300 - 1024)
  // And the next free in a block puts its hint right.
  #expect(region.free(FrameIndex(0), frames: 1) && region.validate() == nil)
}

@Test func `a grower that stops in the system call costs its block`() throws {
  let arena = try Arena(reservedFrames: 2048)
  let region = arena.region
  #expect(region.blockWord(1).updateAcquire { (word: BlockWord) in word.claimed } != nil)
  #expect(region.allocate(frames: 1025) == nil && region.allocate(frames: 1024)?.rawValue == 1024)
  // It has set the bits of its own frames, and not yet published the block: a foreign free does nothing there.
  region.rowWord(8).storeRelaxed(1)
  #expect(!region.allocate(at: FrameIndex(512), frames: 1) && !region.free(FrameIndex(512), frames: 1))
  #expect(!region.freeRow(FrameIndex(512), 1) && region.row(8).bits == 1 && region.state(1) == .growing)
  var count = 0
  while region.allocate(frames: 1) != nil { count += 1 }
  #expect(count == 512 && region.validate(quiescent: false) == nil)
}

@Test func `a purge that stops in the system call costs the block it holds`() throws {
  let arena = try Arena(reservedFrames: 1024)
  let region = arena.region
  #expect(region.allocate(frames: 1024)?.rawValue == 0 && region.free(FrameIndex(0), frames: 1024))
  #expect(region.takeExact(512..<1024, growing: false) == .taken)
  #expect(region.purge(upTo: .max) == 512)
  #expect(region.allocate(frames: 512)?.rawValue == 0 && region.allocate(frames: 1) == nil)
  #expect(region.validate() == nil)
}
