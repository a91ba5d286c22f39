import KAllocAtomics
import Testing

@testable import Slab

/// Sizes in bytes on a region of 16-byte frames, as a buddy allocator rounds them.
private func allocate(_ arena: Arena, _ size: Int, alignment: Int = 1) -> Int? {
  guard let order = Order(covering: (size + 15) / 16, alignment: max(1, alignment / 16)) else { return nil }
  return arena.offset(arena.region.allocate(frames: order.frames, alignment: order.frames))
}

private func free(_ arena: Arena, _ offset: Int, _ size: Int) -> Bool {
  let order = Order(covering: (size + 15) / 16)!
  return arena.region.free(arena.region.frame(of: arena.region.base + offset)!, frames: order.frames)
}

@Test func `the order of a size and an alignment is that of a buddy allocator`() {
  // Of a 256-byte region with 16-byte blocks.
  let table: [(size: Int, alignment: Int, order: Int)] = [
    (0, 1, 0), (1, 1, 0), (8, 1, 0), (16, 1, 0), (17, 1, 1), (32, 1, 1), (32, 32, 1), (1, 32, 1), (33, 1, 2),
    (64, 1, 2), (65, 1, 3), (128, 1, 3), (129, 1, 4), (256, 1, 4), (16, 256, 4), (257, 1, 5), (4096, 1, 8),
  ]
  for row in table {
    #expect(
      Order(covering: (row.size + 15) / 16, alignment: max(1, row.alignment / 16))?.rawValue == row.order,
      "\(row)")
  }
  #expect(Order(covering: 1, alignment: 3) == nil)
  #expect(Order(covering: -1) == nil)
  #expect(Order(covering: .max) == nil)
}

@Test func `buddies are each other's, and their union is the next order`() {
  for order in (0..<9).map({ Order($0) }) {
    for index in stride(from: 0, to: 512, by: order.frames) {
      let frame = FrameIndex(index)
      let buddy = frame.buddy(order)
      #expect(buddy != frame && buddy.buddy(order) == frame)
      #expect(min(frame, buddy).rawValue % (2 * order.frames) == 0)
    }
  }
}

@Test func `the script of a simple buddy allocator gives its addresses`() throws {
  let arena = try Arena(givenFrames: 16, shift: 4)
  #expect(allocate(arena, 8) == 0)
  #expect(allocate(arena, 4096) == nil)
  #expect(allocate(arena, 256) == nil)
  #expect(allocate(arena, 8) == 16)
  #expect(allocate(arena, 8) == 32)
  #expect(allocate(arena, 32, alignment: 32) == 64)
  #expect(allocate(arena, 8) == 48)
  #expect(allocate(arena, 128) == 128)
  #expect(allocate(arena, 64) == nil)
  #expect(free(arena, 64, 32))
  #expect(free(arena, 0, 8))
  #expect(free(arena, 48, 8))
  #expect(free(arena, 16, 8))
  #expect(free(arena, 32, 8))
  #expect(allocate(arena, 128) == 0)
  #expect(free(arena, 0, 128))
  #expect(free(arena, 128, 128))
  #expect(allocate(arena, 256) == 0)
  #expect(arena.region.validate() == nil)
}

@Test(arguments: [1, 3, 9, 63, 64, 65, 300, 511, 512, 513, 1024, 1500])
func `a run of any length comes from a region that grows, and goes back`(frames: Int) throws {
  let arena = try Arena(reservedFrames: 2048)
  let first = try #require(arena.region.allocate(frames: frames))
  #expect(first.rawValue == 0)
  #expect(arena.region.validate() == nil)
  arena.region.address(of: first).storeBytes(of: 7, as: UInt64.self)
  #expect(arena.region.statistics().allocatedFrames == frames)
  #expect(arena.region.free(first, frames: frames))
  #expect(arena.region.validate() == nil)
  #expect(arena.region.isWhollyFree)
}

@Test func `a row reservation gives aligned runs of one row`() throws {
  let arena = try Arena(reservedFrames: 1024)
  let run = try #require(arena.region.claimRow(upTo: 40, order: Order(2)))
  #expect(run.frames == 40 && run.first.rawValue == 0 && run.mask == (1 << 40) - 1)
  let rest = try #require(arena.region.claimRow(upTo: 64, order: Order(3)))
  #expect(rest.frames == 64 && rest.first.rawValue == 64)
  #expect(arena.region.freeRow(run.first, run.mask))
  #expect(!arena.region.freeRow(run.first, run.mask))
  #expect(arena.region.freeRow(rest.first, rest.mask))
  #expect(arena.region.validate() == nil && arena.region.isWhollyFree)
}
