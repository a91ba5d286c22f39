// Growth, purge, and the list of regions.

import Explorer
import KAllocAtomics

@testable import Slab

let growthScenarios: [Scenario] = [
  Scenario("pages-grow-grow", "two threads find no memory and grow: both get a frame, no block is committed twice") {
    let region = try SmallRegion(2 * Frames.perBlock, shift: 12, backing: .reserved)
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void { { got[thread].value = region.take(1) == nil ? 0 : 1 } }
    return world(
      region, body(0), body(1),
      check: { expect(got[0].value + got[1].value == 2, "an allocation failed although there was memory for each") })
  },

  Scenario("pages-grow-last", "two threads want frames of the last absent block, which one of them grows") {
    let region = try SmallRegion(Frames.perBlock, shift: 12, backing: .reserved)
    let got = [Register(), Register()]
    func body(_ thread: Int) -> () -> Void {
      {
        if let first = region.take(1) {
          got[thread].value = 1
          region.give(first, 1)
        }
      }
    }
    return world(
      region, body(0), body(1),
      check: { expect(got[0].value + got[1].value >= 1, "both failed and nobody was in the way") })
  },

  Scenario("pages-grow-refused", "two threads grow and the system may refuse either: what was claimed is absent again")
  {
    let region = try SmallRegion(2 * Frames.perBlock, shift: 12, backing: .reserved)
    SimulatedSystem.setCommitMayFail(true)
    return world(region, { region.take(Frames.perBlock + 1) }, { region.take(1) })
  },

  Scenario("pages-grow-free", "a run that spans a present and an absent block, while the frames before it come back") {
    let region = try SmallRegion(2 * Frames.perBlock, shift: 12, backing: .reserved)
    region.prepare(0, 100)
    return world(region, { region.take(700) }, { region.give(FrameIndex(0), 100) })
  },

  Scenario("pages-purge-allocate", "a purge meets an allocation of what it purges: what counts as clean is zero") {
    let region = try dirtyRegion()
    return world(
      region, { _ = region.pages.purge(upTo: .max) },
      {
        note("allocate")
        guard let first = region.pages.allocate(frames: 1) else { return }
        if region.pages.isClean(first, frames: 1) {
          expect(contents(region.pages.address(of: first)) == 0, "a frame counts as clean and holds old data")
        }
        region.own(first, 1)
      })
  },

  Scenario("pages-purge-free", "a purge meets a free in the block it purges: the dirty frame is not forgotten") {
    let region = try dirtyRegion()
    return world(region, { _ = region.pages.purge(upTo: .max) }, { region.give(FrameIndex(0), 1) })
  },

  Scenario("pages-purge-whole", "a purge of a whole block meets an allocation and its free") {
    let region = try SmallRegion(Frames.perBlock, shift: 12, backing: .reserved)
    region.prepare(0, 2)
    giveBack(region, 0, 2)
    return world(
      region, { _ = region.pages.purge(upTo: .max) }, { if let first = region.take(1) { region.give(first, 1) } })
  },

  Scenario("pages-purge-purge", "two purges of one block") {
    let region = try dirtyRegion()
    return world(region, { _ = region.pages.purge(upTo: .max) }, { _ = region.pages.purge(upTo: .max) })
  },

  Scenario("pages-add-region", "a region is added while another thread walks the list and allocates from it") {
    let region = try SmallRegion(2)
    let nodes = NodePages(head: AtomicWord(arena(bytes: 64).assumingMemoryBound(to: UInt64.self)))
    // The header is written by the thread that adds it, as `create` writes it.
    let header = UnsafeMutableRawPointer(region.pages.header)
    var world = world(
      region,
      {
        plainWrite(header)
        nodes.add(region.pages)
      },
      {
        guard let first = nodes.first else { return }
        plainRead(UnsafeRawPointer(first.header))
        if let (found, frame) = nodes.allocate(frames: 1) {
          expect(found == region.pages, "the list holds another region")
          region.own(frame, 1)
        }
      })
    let names = world.names
    world.names = names + [{ _ in "list of regions" }]
    return world
  },

  Scenario("pages-add-add", "two regions are added at once: both are in the list") {
    let one = try SmallRegion(1)
    let other = try SmallRegion(1)
    let nodes = NodePages(head: AtomicWord(arena(bytes: 64).assumingMemoryBound(to: UInt64.self)))
    var world = world(one, { nodes.add(one.pages) }, { nodes.add(other.pages) }, { _ = nodes.allocate(frames: 2) })
    world.check = {
      expect(nodes.statistics().totalFrames == 2, "a region was lost from the list")
      expect(nodes.validate() == nil, "a region of the list is invalid")
    }
    return world
  },
]

/// A reserved region of one block, with frame 0 owned and two dirty frames behind it.
private func dirtyRegion() throws -> SmallRegion {
  let region = try SmallRegion(Frames.perBlock, shift: 12, backing: .reserved)
  region.prepare(0, 1)
  region.prepare(1, 2)
  giveBack(region, 1, 2)
  return region
}

private func giveBack(_ region: SmallRegion, _ first: Int, _ frames: Int) {
  region.give(FrameIndex(first), frames)
}
