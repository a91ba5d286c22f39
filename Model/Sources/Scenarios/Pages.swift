// The page level: rows, blocks, hints, runs.

import Explorer
import KAllocAtomics

@testable import Slab

let pageScenarios: [Scenario] = [
  Scenario("pages-allocate-allocate", "two threads take a frame each, and there are two: both get one") {
    let region = try SmallRegion(2)
    let got = [Register(), Register()]
    return world(
      region, { got[0].value = region.take(1) == nil ? 0 : 1 }, { got[1].value = region.take(1) == nil ? 0 : 1 },
      check: { expect(got[0].value + got[1].value == 2, "an allocation failed although there was a frame for each") })
  },

  Scenario("pages-allocate-last", "three threads want a frame, and there are two: two get one") {
    let region = try SmallRegion(2)
    let got = (0..<3).map { _ in Register() }
    func body(_ thread: Int) -> () -> Void { { got[thread].value = region.take(1) == nil ? 0 : 1 } }
    return world(
      region, body(0), body(1), body(2),
      check: { expect(got.reduce(0) { $0 + $1.value } == 2, "frames were left and an allocation failed") })
  },

  Scenario(
    "pages-allocate-free", "an allocation meets the free of the only frame, and takes it or fails; then it frees"
  ) {
    let region = try SmallRegion(1)
    region.prepare(0, 1)
    return world(
      region, { region.give(FrameIndex(0), 1) },
      { if let first = region.take(1) { region.give(first, 1) } })
  },

  Scenario(
    "pages-allocate-ahead", "an allocation takes a frame that is being freed, on account of another that is free"
  ) {
    let region = try SmallRegion(2)
    region.prepare(0, 1)
    let got = Register()
    return world(
      region, { region.give(FrameIndex(0), 1) }, { got.value = region.take(1) == nil ? 0 : 1 },
      check: { expect(got.value == 1, "a frame was free all the time and the allocation failed") })
  },

  Scenario("pages-pair", "two threads allocate and free a frame each, of two") {
    let region = try SmallRegion(2)
    func body() { if let first = region.take(1) { region.give(first, 1) } }
    return world(region, body, body)
  },

  Scenario("pages-free-free-row", "two frees in one row, of all that is allocated: the whole block can be found again")
  {
    let region = try SmallRegion(Frames.perBlock)
    region.prepare(3, 1)
    region.prepare(4, 2)
    return world(region, { region.give(FrameIndex(3), 1) }, { region.give(FrameIndex(4), 2) })
  },

  Scenario("pages-free-free-buddies", "two halves of a block come back while a third thread wants the whole") {
    let region = try SmallRegion(Frames.perBlock)
    region.prepare(0, 256)
    region.prepare(256, 256)
    return world(
      region, { region.give(FrameIndex(0), 256) }, { region.give(FrameIndex(256), 256) },
      { _ = region.take(Frames.perBlock, alignment: Frames.perBlock) })
  },

  Scenario(
    "pages-whole-row", "a whole block is claimed while another thread takes one frame of it: one of them, not both"
  ) {
    let region = try SmallRegion(Frames.perBlock)
    let got = [Register(), Register()]
    return world(
      region, { got[0].value = region.take(Frames.perBlock) == nil ? 0 : 1 },
      { got[1].value = region.take(1) == nil ? 0 : 1 },
      check: { expect(got[0].value + got[1].value == 1, "not exactly one of two that exclude each other") })
  },

  Scenario("pages-whole-free", "a whole block is claimed while its last frame is freed") {
    let region = try SmallRegion(Frames.perBlock)
    region.prepare(511, 1)
    return world(region, { region.give(FrameIndex(511), 1) }, { _ = region.take(Frames.perBlock) })
  },

  Scenario(
    "pages-hints", "a search finds nothing and lowers the hints while a frame is freed: the hint is up in the end"
  ) {
    let region = try SmallRegion(64)
    region.prepare(0, 2)
    region.prepare(2, 62)
    return world(
      region, { region.give(FrameIndex(0), 2) }, { if let first = region.take(2) { region.give(first, 2) } })
  },

  Scenario("pages-hints-orders", "frames of two orders come back while a third thread looks for the larger") {
    let region = try SmallRegion(4)
    for first in 0..<4 { region.prepare(first, 1) }
    return world(
      region, { region.give(FrameIndex(0), 1) }, { region.give(FrameIndex(1), 1) }, { _ = region.take(2, alignment: 2) }
    )
  },

  Scenario("pages-runs", "two runs across rows overlap: one of them is taken, the other leaves nothing behind") {
    let region = try SmallRegion(192)
    let got = [Register(), Register()]
    func body(_ thread: Int, _ first: Int) -> () -> Void {
      {
        if region.pages.allocate(at: FrameIndex(first), frames: 96) {
          got[thread].value = 1
          region.own(FrameIndex(first), 96)
        }
      }
    }
    return world(
      region, body(0, 0), body(1, 40),
      check: { expect(got[0].value + got[1].value == 1, "not exactly one of two overlapping runs was taken") })
  },

  Scenario("pages-runs-search", "a search for a run across rows meets an allocation in the middle of it") {
    let region = try SmallRegion(128)
    return world(region, { _ = region.take(100) }, { if let first = region.take(4) { region.give(first, 4) } })
  },

  Scenario("pages-extend", "a run is extended in place while another thread takes the frames behind it") {
    let region = try SmallRegion(4)
    region.prepare(0, 2)
    let extended = Register()
    let got = Register()
    return world(
      region,
      {
        if region.pages.extend(FrameIndex(0), frames: 2, by: 1) {
          extended.value = 1
          region.own(FrameIndex(2), 1)
        }
      }, { got.value = region.take(2) == nil ? 0 : 1 },
      check: { expect(extended.value + got.value == 1, "not exactly one of two that exclude each other") })
  },

  Scenario("pages-claim-row", "two threads reserve frames of a row while a third frees one") {
    let region = try SmallRegion(4)
    region.prepare(1, 1)
    func claim() {
      guard let run = region.pages.claimRow(upTo: 2, order: Order(0)) else { return }
      var rest = run.mask
      while rest != 0 {
        region.own(run.first.advanced(by: rest.trailingZeroBitCount), 1)
        rest &= rest - 1
      }
    }
    return world(region, claim, claim, { region.give(FrameIndex(1), 1) })
  },

  Scenario("pages-reserve", "two threads want the last frame above the watermark: one gets it, the reserve stays") {
    let region = try SmallRegion(3, reserveFrames: 2)
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void { { got[thread].value = region.take(1) == nil ? 0 : 1 } }
    return world(
      region, body(0), body(1), { if let first = region.take(1, flags: .useReserve) { region.give(first, 1) } },
      check: { expect(got[0].value + got[1].value <= 1, "the reserve was taken by somebody who may not") })
  },
]
