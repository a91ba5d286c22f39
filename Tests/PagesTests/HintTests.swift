import Testing

@testable import Slab

/// The tiers that a block is hinted for, as a mask.
private func hints(_ region: PageRegion, _ block: Int) -> Int {
  (0...Tier.whole).reduce(0) {
    $0 | (region.hintWord(tree: block >> 6, tier: $1).loadRelaxed() & (1 << UInt64(block & 63)) == 0 ? 0 : 1 << $1)
  }
}

@Test func `a hint that was lowered in error is set again by the second look`() throws {
  let arena = try Arena(givenFrames: 512, shift: 4)
  let region = arena.region
  #expect(hints(region, 0) == 0xff)
  region.lower(0, from: 0)
  #expect(hints(region, 0) == 0xff, "wholly free")
  #expect(region.allocate(at: FrameIndex(1), frames: 511))
  region.lower(0, from: 0)
  #expect(hints(region, 0) == 1, "one frame")
  #expect(region.allocate(at: FrameIndex(0), frames: 1))
  region.lower(0, from: 0)
  #expect(hints(region, 0) == 0)
  #expect(region.free(FrameIndex(16), frames: 16) && hints(region, 0) == 0b1_1111)
  #expect(region.free(FrameIndex(128), frames: 64) && hints(region, 0) == 0b111_1111)
  #expect(region.free(FrameIndex(0), frames: 16) && region.free(FrameIndex(32), frames: 96))
  #expect(region.free(FrameIndex(192), frames: 320) && hints(region, 0) == 0xff && region.validate() == nil)
}

// The number in the block word must not lower what the rows say: schedule "a2 b5 c69 a2" of the model's scenario
// pages-hints-orders lost a hint that way.
@Test func `frames that others have reserved stay hinted at`() throws {
  let arena = try Arena(givenFrames: 512, shift: 4)
  let region = arena.region
  #expect(region.reserve(0, 500) != nil && region.survey(0) == Tier.row)
  region.lower(0, from: 0)
  #expect(hints(region, 0) == 0x7f)
  region.returnFrames(0, 500, order: -1)
  #expect(hints(region, 0) == 0xff && region.validate() == nil)
}

@Test func `hints of a large region lead to the only block with a free run`() throws {
  let blocks = 64 * 9 + 3
  let arena = try Arena(givenFrames: blocks * 512, shift: 4)
  let region = arena.region
  #expect(region.allocate(frames: blocks * 512)?.rawValue == 0)
  for block in [blocks - 1, 64 * 8, 63, 200, 0] {
    #expect(region.free(FrameIndex(block * 512 + 70), frames: 9))
    #expect(region.allocate(frames: 9)?.rawValue == block * 512 + 70)
    #expect(region.free(FrameIndex(block * 512), frames: 512))
    #expect(region.candidate(from: 0, tier: Tier.whole, excluding: nil, below: blocks) == block)
    #expect(region.allocate(frames: 512)?.rawValue == block * 512)
    region.lower(block, from: Tier.whole)
    #expect(region.candidate(from: 0, tier: Tier.whole, excluding: nil, below: blocks) == nil)
  }
  #expect(region.validate() == nil)
}
