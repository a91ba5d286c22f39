import KAllocAtomics
import Testing

import func TestSupport.scaled

@testable import Slab

@Test func `a planted run is found among random bits, wherever it lies`() throws {
  let seed = testSeed()
  var random = Random(seed: seed)
  let frames = 3 * 512 + 100
  for round in 0..<100 {
    let arena = try Arena(givenFrames: frames, shift: 4, offset: random.below(512))
    let region = arena.region
    let first = region.firstFrame.rawValue
    #expect(region.allocate(at: region.firstFrame, frames: frames))
    // Scattered free frames, none of them longer together than the planted run.
    let length = 1 + random.below(random.below(2) == 0 ? 130 : 1400)
    let start = random.below(frames - length + 1)
    var free = [Bool](repeating: false, count: frames)
    for _ in 0..<200 { free[random.below(frames)] = true }
    var run = 0
    for i in 0..<frames {
      if run == length - 1 || abs(i - start) <= 1 || abs(i - start - length) <= 1 { free[i] = false }
      run = free[i] ? run + 1 : 0
    }
    for i in 0..<frames where free[i] { #expect(region.free(FrameIndex(first + i), frames: 1)) }
    if length > 1 { #expect(region.allocate(frames: length) == nil, "replay: KALLOC_SEED=\(seed) round \(round)") }
    for i in start..<start + length where !free[i] { #expect(region.free(FrameIndex(first + i), frames: 1)) }
    let found = region.allocate(frames: length)
    let alone = length > 1 || free.allSatisfy { !$0 }
    #expect(
      alone ? found?.rawValue == first + start : found != nil,
      "\(String(describing: found)) for \(length) at \(first + start); replay: KALLOC_SEED=\(seed) round \(round)")
    #expect(region.validate() == nil)
  }
}

@Test func `exact frames are given once, and only whole`() throws {
  for arena in [try Arena(givenFrames: 2000, offset: 100), try Arena(reservedFrames: 2000, offset: 100)] {
    let region = arena.region
    func at(_ frame: Int) -> FrameIndex { FrameIndex(frame) }
    #expect(!region.allocate(at: at(99), frames: 1))
    #expect(region.allocate(at: at(100), frames: 1))
    #expect(!region.allocate(at: at(100), frames: 1))
    #expect(region.allocate(at: at(500), frames: 600))
    #expect(!region.allocate(at: at(1099), frames: 1) && region.allocate(at: at(1100), frames: 1))
    #expect(!region.allocate(at: at(400), frames: 101))
    #expect(region.allocate(at: at(400), frames: 100))
    #expect(!region.allocate(at: at(2099), frames: 2) && region.allocate(at: at(2099), frames: 1))
    // Across three blocks, with an obstacle in the last row: everything is rolled back.
    #expect(region.allocate(at: at(1990), frames: 1))
    #expect(!region.allocate(at: at(1101), frames: 900))
    #expect(region.allocate(at: at(1101), frames: 889))
    #expect(region.statistics().allocatedFrames == 1 + 700 + 1 + 1 + 1 + 889)
    #expect(region.validate() == nil)
  }
}

@Test func `a run grows in place while the frames behind it are free`() throws {
  let arena = try Arena(reservedFrames: 1536)
  let region = arena.region
  let first = try #require(region.allocate(frames: 10))
  #expect(region.extend(first, frames: 10, by: 50))
  #expect(region.extend(first, frames: 60, by: 1000))
  #expect(region.allocate(at: FrameIndex(1061), frames: 1))
  #expect(!region.extend(first, frames: 1060, by: 2))
  #expect(region.extend(first, frames: 1060, by: 1))
  #expect(!region.extend(first, frames: 1061, by: 1))
  #expect(region.free(first, frames: 1061) && region.free(FrameIndex(1061), frames: 1))
  #expect(region.extend(first, frames: 1, by: 1535) == true)
  #expect(!region.extend(first, frames: 1536, by: 1))
  #expect(region.validate() == nil)
}

@Test func `any part of a run can be freed, and reused at once`() throws {
  let arena = try Arena(reservedFrames: 4096)
  let region = arena.region
  let first = try #require(region.allocate(frames: 1536))
  #expect(region.free(first.advanced(by: 100), frames: 1000))
  #expect(region.allocate(frames: 1000) == first.advanced(by: 1536) || region.allocate(frames: 1000) != nil)
  #expect(region.allocate(at: first.advanced(by: 512), frames: 512))
  #expect(region.free(first, frames: 100))
  #expect(region.free(first.advanced(by: 1100), frames: 436))
  #expect(region.free(first.advanced(by: 512), frames: 512))
  #expect(region.validate() == nil)
}

@Test(arguments: [1, 5, 64, 100, 512, 1300])
func `a double free is noticed, and harms nothing`(frames: Int) throws {
  for arena in [try Arena(givenFrames: 2048), try Arena(reservedFrames: 2048)] {
    let region = arena.region
    let other = try #require(region.allocate(frames: 3))
    let first = try #require(region.allocate(frames: frames))
    let before = region.statistics().allocatedFrames
    // One frame more than was allocated: a wrong order.
    #expect(!region.free(first, frames: frames + 1))
    #expect(region.statistics().allocatedFrames == before - frames && region.validate() == nil)
    #expect(!region.free(first, frames: frames) && !region.free(first, frames: 1))
    #expect(region.statistics().allocatedFrames == before - frames && region.validate() == nil)
    #expect(region.free(other, frames: 3))
    #expect(!region.free(other, frames: 3))
    #expect(region.isWhollyFree && region.validate() == nil)
    #expect(!region.free(FrameIndex(2000), frames: 1), "never allocated, perhaps absent")
    #expect(region.isWhollyFree && region.validate() == nil)
  }
}

@Test func `partly used blocks are filled before whole ones, lowest address first`() throws {
  let arena = try Arena(givenFrames: 4 * 512, shift: 4)
  let region = arena.region
  let third = FrameIndex(2 * 512 + 64)
  #expect(region.allocate(at: third, frames: 1))
  #expect(region.allocate(frames: 1)?.rawValue == 1024)
  #expect(region.allocate(frames: 64, alignment: 64)?.rawValue == 1024 + 128)
  #expect(region.allocate(frames: 200)?.rawValue == 1024 + 192)
  #expect(region.allocate(frames: 512)?.rawValue == 0)
  #expect(region.allocate(frames: 300, alignment: 256)?.rawValue == 512)
  #expect(region.validate() == nil)
}

@Test func `a run crosses rows and blocks where nothing else is left`() throws {
  let arena = try Arena(givenFrames: 1024, shift: 4)
  let region = arena.region
  #expect(region.allocate(frames: 1024) != nil)
  #expect(region.free(FrameIndex(40), frames: 50))
  #expect(region.allocate(frames: 50)?.rawValue == 40)
  #expect(region.free(FrameIndex(490), frames: 45))
  #expect(region.allocate(frames: 46) == nil)
  #expect(region.allocate(frames: 45)?.rawValue == 490)
  #expect(region.validate() == nil)
}

@Test func `after everything is freed in any order the whole region is one run again`() throws {
  let seed = testSeed()
  var random = Random(seed: seed)
  let arena = try Arena(givenFrames: 16, shift: 4)
  let region = arena.region
  for round in 0..<scaled(100_000) {
    var blocks: [(FrameIndex, Int)] = []
    while blocks.count < 16 {
      let order = Order(random.below(4))
      guard let frame = region.allocate(frames: order.frames, alignment: order.frames) else { break }
      blocks.append((frame, order.frames))
    }
    while !blocks.isEmpty {
      let (frame, frames) = blocks.remove(at: random.below(blocks.count))
      if !region.free(frame, frames: frames) { Issue.record("round \(round); replay: KALLOC_SEED=\(seed)") }
    }
    guard let whole = region.allocate(frames: 16, alignment: 16), region.free(whole, frames: 16) else {
      Issue.record("round \(round); replay: KALLOC_SEED=\(seed)")
      return
    }
  }
  #expect(region.validate() == nil)
}

@Test func `statistics divide the free frames as a buddy allocator does`() throws {
  let arena = try Arena(givenFrames: 1024)
  let region = arena.region
  var statistics = region.statistics()
  #expect(statistics.freeByOrder[9] == 2 && statistics.largestFreeRun == 1024 && statistics.fragmentation == 0)
  #expect(region.allocate(at: FrameIndex(0), frames: 1))
  statistics = region.statistics()
  #expect((0...8).allSatisfy { statistics.freeByOrder[$0] == 1 } && statistics.freeByOrder[9] == 1)
  #expect(statistics.largestFreeRun == 1023 && statistics.freeFrames == 1023)
  #expect(region.allocate(at: FrameIndex(512), frames: 512))
  for frame in stride(from: 2, to: 512, by: 2) { #expect(region.allocate(at: FrameIndex(frame), frames: 1)) }
  statistics = region.statistics()
  #expect(statistics.freeByOrder[0] == 256 && statistics.freeFrames == 256 && statistics.largestFreeRun == 1)
  #expect(statistics.fragmentation == 997 && statistics.allocatedFrames == 768)
}
