import KAllocAtomics
import Testing

import func TestSupport.scaled

@testable import Slab

/// What the allocator should be: one Bool per frame, and no cleverness.
private struct Oracle {
  var free: [Bool]
  var dirty: [Bool]
  let first: Int
  /// Frames between address 0 and frame 0.
  let before: Int

  init(_ region: PageRegion) {
    first = region.firstFrame.rawValue
    before = (Int(bitPattern: region.base) >> region.frameShift) - first
    free = [Bool](repeating: true, count: region.frameCount)
    dirty = [Bool](repeating: false, count: region.frameCount)
  }

  func isFree(_ range: Range<Int>) -> Bool {
    range.lowerBound >= first && range.upperBound <= first + free.count
      && free[range.lowerBound - first..<range.upperBound - first].allSatisfy { $0 }
  }

  /// Whether an aligned run is free anywhere.
  func hasRun(_ frames: Int, _ alignment: Int) -> Bool {
    var run = 0
    for i in stride(from: free.count - 1, through: 0, by: -1) {
      run = free[i] ? run + 1 : 0
      if run >= frames && (before + first + i) % alignment == 0 { return true }
    }
    return false
  }

  func hasChunk(_ order: Order) -> Bool { hasRun(order.frames, order.frames) }

  mutating func set(_ range: Range<Int>, free value: Bool) {
    for frame in range { set(frame, free: value) }
  }

  mutating func set(_ frame: Int, free value: Bool) {
    free[frame - first] = value
    if value { dirty[frame - first] = true }
  }
}

/// One random history on one region, compared with the oracle at every step.
private func run(_ arena: Arena, seed: UInt64, steps: Int, reserved: Bool) {
  var random = Random(seed: seed)
  let region = arena.region
  var oracle = Oracle(region)
  var runs: [Range<Int>] = []
  var rows: [FrameRun] = []
  var failed = false
  func check(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line) {
    if !condition && !failed {
      failed = true
      Issue.record("\(what()) (line \(line)); replay: KALLOC_SEED=\(seed)")
    }
  }
  func size() -> Int {
    switch random.below(8) {
    case 0...3: return 1 + random.below(16)
    case 4, 5: return 1 + random.below(64)
    case 6: return 1 + random.below(511)
    default: return 1 + random.below(1600)
    }
  }
  for step in 0..<steps where !failed {
    let draining = (step / 400) % 2 == 1
    switch random.below(20) {
    case 0..<(draining ? 4 : 9):
      let frames = size()
      let alignment = [1, 1, 1, 2, 8, 64, 256, 512, 1024][random.below(9)]
      if let frame = region.allocate(frames: frames, alignment: alignment) {
        let range = frame.rawValue..<frame.rawValue + frames
        check(
          oracle.isFree(range) && (oracle.before + frame.rawValue) % alignment == 0,
          "gave \(range) for \(frames)@\(alignment)")
        if failed { return }
        check(region.isClean(frame, frames: frames) == (reserved && oracle.clean(range)), "clean \(range)")
        oracle.set(range, free: false)
        runs.append(range)
      } else {
        check(!oracle.hasRun(frames, alignment), "refused \(frames)@\(alignment) which is free")
      }
    case 9, 10:
      let order = Order(random.below(7))
      let limit = random.below(80)
      if let run = region.claimRow(upTo: limit, order: order) {
        check(run.frames <= min(limit, 64) && run.frames % order.frames == 0 && run.frames > 0, "\(run)")
        for i in 0..<64 where run.mask & (1 << UInt64(i)) != 0 {
          check(oracle.isFree(run.first.rawValue + i..<run.first.rawValue + i + 1), "gave \(run)")
          if failed { return }
          oracle.set(run.first.rawValue + i, free: false)
        }
        rows.append(run)
      } else {
        check(limit < order.frames || !oracle.hasChunk(order), "refused order \(order.rawValue)")
      }
    case 11:
      let start = oracle.first + random.below(oracle.free.count)
      let range = start..<start + size()
      let expected = oracle.isFree(range)
      check(region.allocate(at: FrameIndex(start), frames: range.count) == expected, "exact \(range)")
      if expected {
        oracle.set(range, free: false)
        runs.append(range)
      }
    case 12:
      guard !runs.isEmpty else { break }
      let index = random.below(runs.count)
      let more = runs[index].upperBound..<runs[index].upperBound + size()
      let expected = oracle.isFree(more)
      check(
        region.extend(FrameIndex(runs[index].lowerBound), frames: runs[index].count, by: more.count) == expected,
        "extend \(runs[index]) by \(more.count)")
      if expected {
        oracle.set(more, free: false)
        runs[index] = runs[index].lowerBound..<more.upperBound
      }
    case 13:
      guard !rows.isEmpty else { break }
      let row = rows.remove(at: random.below(rows.count))
      check(region.freeRow(row.first, row.mask), "free \(row)")
      for i in 0..<64 where row.mask & (1 << UInt64(i)) != 0 { oracle.set(row.first.rawValue + i, free: true) }
    case 14:
      if reserved {
        let dirty = oracle.dirtyFree
        let budget = random.below(2) == 0 ? Int.max : random.below(700)
        let released = region.purge(upTo: budget)
        check(released <= budget && (budget < dirty || released == dirty), "purged \(released) of \(dirty), \(budget)")
        // Which ones a limited purge took is its own affair: make the oracle agree by purging the rest.
        if released < dirty { check(region.purge(upTo: .max) == dirty - released, "purged the rest") }
        oracle.purged()
      }
    default:
      guard !runs.isEmpty else { break }
      let index = random.below(runs.count)
      let run = runs.remove(at: index)
      var part = run
      if random.below(4) == 0 {
        // A part of it, which may leave two.
        let from = run.lowerBound + random.below(run.count)
        part = from..<from + 1 + random.below(run.upperBound - from)
        if run.lowerBound < part.lowerBound { runs.append(run.lowerBound..<part.lowerBound) }
        if part.upperBound < run.upperBound { runs.append(part.upperBound..<run.upperBound) }
      }
      check(region.free(FrameIndex(part.lowerBound), frames: part.count), "free \(part)")
      oracle.set(part, free: true)
    }
    if step % 16 == 0 {
      let fault = region.validate()
      check(fault == nil, "step \(step): \(String(describing: fault))")
      let statistics = region.statistics()
      check(statistics.freeFrames + statistics.absentFrames == oracle.free.count { $0 }, "step \(step): free frames")
      check(statistics.allocatedFrames == oracle.free.count { !$0 }, "step \(step): allocated frames")
      if reserved { check(statistics.dirtyFrames == oracle.dirtyFree, "step \(step): dirty frames") }
      let counted = (0..<10).reduce(0) { $0 + statistics.freeByOrder[$1] << $1 }
      check(counted == statistics.freeFrames, "step \(step): frames by order")
    }
  }
  for run in runs { check(region.free(FrameIndex(run.lowerBound), frames: run.count), "free \(run) at the end") }
  for row in rows { check(region.freeRow(row.first, row.mask), "free \(row) at the end") }
  check(region.isWhollyFree && region.validate() == nil, "not whole at the end")
}

extension Oracle {
  func clean(_ range: Range<Int>) -> Bool {
    dirty[range.lowerBound - first..<range.upperBound - first].allSatisfy { !$0 }
  }

  var dirtyFree: Int { zip(free, dirty).count { $0 && $1 } }

  mutating func purged() {
    for i in free.indices where free[i] { dirty[i] = false }
  }
}

@Test func `random histories on a growing region are those of the naive allocator`() throws {
  var random = Random(seed: testSeed())
  for _ in 0..<6 {
    let seed = ka_os_environment("KALLOC_SEED") == nil ? random.next() : testSeed()
    let shape = Random(seed: ~seed).state
    let arena = try Arena(
      reservedFrames: 1 + Int(shape % 4000), offset: Int(shape >> 20) % 512)
    run(arena, seed: seed, steps: scaled(1500), reserved: true)
  }
}

@Test func `random histories on a given region are those of the naive allocator`() throws {
  var random = Random(seed: testSeed())
  for _ in 0..<6 {
    let seed = ka_os_environment("KALLOC_SEED") == nil ? random.next() : testSeed()
    let shape = Random(seed: ~seed).state
    let arena = try Arena(givenFrames: 1 + Int(shape % 4000), shift: 4, offset: Int(shape >> 20) % 512)
    run(arena, seed: seed, steps: scaled(1500), reserved: false)
  }
}
