import Glibc
import KAllocAtomics
import Testing

import func TestSupport.scaled

@testable import Slab

/// Runs `body` on `count` threads and waits for them.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Start {
    let body: @Sendable (Int) -> Void
    let index: Int
    init(_ body: @escaping @Sendable (Int) -> Void, _ index: Int) {
      self.body = body
      self.index = index
    }
  }
  var threads: [pthread_t] = []
  for index in 0..<count {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body, index)).toOpaque()
    let failed = pthread_create(
      &thread, nil,
      { start in
        let start = Unmanaged<Start>.fromOpaque(start!).takeRetainedValue()
        start.body(start.index)
        return nil
      }, start)
    precondition(failed == 0)
    threads.append(thread)
  }
  for thread in threads { pthread_join(thread, nil) }
}

/// Who owns each frame, by a byte that changes with one exchange: an overlap is seen by whoever comes second.
private final class Ownership: @unchecked Sendable {
  // Sendable: the bytes are touched by atomic operations only.
  private let owners: UnsafeMutablePointer<UInt8>
  private let errors = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  let first: Int

  init(_ region: PageRegion) {
    first = region.firstFrame.rawValue
    owners = .allocate(capacity: region.frameCount)
    owners.initialize(repeating: 0, count: region.frameCount)
    errors.initialize(to: 0)
  }

  deinit {
    owners.deallocate()
    errors.deallocate()
  }

  var faults: UInt64 { AtomicWord(errors).loadRelaxed() }

  func change(_ frame: Int, from old: Int, to new: Int) {
    let found = AtomicByte(owners + (frame - first)).exchangeRelaxed(UInt8(new))
    if found != UInt8(old) { fault() }
  }

  func fault() { _ = AtomicWord(errors).fetchAddRelaxed(1) }

  func take(_ range: Range<Int>, by owner: Int) { for frame in range { change(frame, from: 0, to: owner) } }
  func drop(_ range: Range<Int>, by owner: Int) { for frame in range { change(frame, from: owner, to: 0) } }
}

private struct Mix {
  var small = true
  var large = true
  var purge = true
}

/// Random allocation and freeing by one thread; everything is freed at the end.
private func churn(
  _ region: PageRegion, _ ownership: Ownership, _ thread: Int, seed: UInt64, steps: Int, budget: Int, mix: Mix
) {
  var random = Random(seed: seed &+ UInt64(thread) &* 77)
  let owner = thread + 1
  var runs: [Range<Int>] = []
  var held = 0
  let writes = region.backing == .reserved || region.frameShift >= 12

  func take(_ range: Range<Int>) {
    ownership.take(range, by: owner)
    if writes {
      for frame in range {
        let address = region.address(of: FrameIndex(frame)).assumingMemoryBound(to: UInt64.self)
        // What is clean is zero; what is not has the number of the frame, from whoever had it last.
        let found = address.pointee
        let clean = region.isClean(FrameIndex(frame), frames: 1)
        if clean ? found != 0 : region.backing == .reserved && found != 0 && found != UInt64(frame) {
          ownership.fault()
        }
        address.pointee = UInt64(frame)
      }
    }
    runs.append(range)
    held += range.count
  }
  func free(_ index: Int) {
    let range = runs.remove(at: index)
    ownership.drop(range, by: owner)
    if !region.free(FrameIndex(range.lowerBound), frames: range.count) { ownership.fault() }
    held -= range.count
  }

  for step in 0..<steps {
    let frames: Int
    switch random.below(mix.large ? 12 : 9) {
    case 0...4: frames = 1 << random.below(7)
    case 5...8: frames = 1 + random.below(64)
    case 9, 10: frames = 65 + random.below(446)
    default: frames = 512 + random.below(700)
    }
    switch random.below(12) {
    case 0...4 where held + frames <= budget:
      let alignment = frames & (frames - 1) == 0 && frames <= 512 ? frames : 1
      if let frame = region.allocate(frames: frames, alignment: alignment) {
        take(frame.rawValue..<frame.rawValue + frames)
      }
    case 5 where mix.small:
      if let run = region.claimRow(upTo: 64, order: Order(random.below(4))) {
        for i in 0..<64 where run.mask & (1 << UInt64(i)) != 0 {
          take(run.first.rawValue + i..<run.first.rawValue + i + 1)
        }
      }
    case 6 where !runs.isEmpty:
      let index = random.below(runs.count)
      let run = runs[index]
      if region.extend(FrameIndex(run.lowerBound), frames: run.count, by: 3) {
        take(run.upperBound..<run.upperBound + 3)
      }
    case 7 where mix.purge && step % 16 == 0: _ = region.purge(upTo: 300)
    default: if !runs.isEmpty { free(random.below(runs.count)) }
    }
    while held > budget { free(random.below(runs.count)) }
  }
  while !runs.isEmpty { free(runs.count - 1) }
}

/// Threads beyond the two cores of a small machine, so that they are stopped in the middle of things.
private let threads = 8

@Test func `threads on a growing region never share a frame, and none is lost`() throws {
  let seed = testSeed()
  for round in 0..<3 {
    let arena = try Arena(reservedFrames: 12 * 512 + 77, offset: 200)
    let region = arena.region
    let ownership = Ownership(region)
    onThreads(threads) {
      churn(region, ownership, $0, seed: seed &+ UInt64(round), steps: scaled(1200), budget: 1500, mix: Mix())
    }
    #expect(ownership.faults == 0, "replay: KALLOC_SEED=\(seed)")
    let fault = region.validate()
    #expect(fault == nil && region.isWhollyFree, "\(String(describing: fault)); replay: KALLOC_SEED=\(seed)")
    _ = region.purge(upTo: .max)
    #expect(region.statistics().dirtyFrames == 0 && region.validate() == nil)
  }
}

@Test func `threads that fight for two blocks never share a frame, and none is lost`() throws {
  let seed = testSeed()
  for round in 0..<6 {
    let arena = try Arena(givenFrames: 1024, offset: round * 31, reserveFrames: round % 2 * 100)
    let region = arena.region
    let ownership = Ownership(region)
    onThreads(threads) {
      churn(
        region, ownership, $0, seed: seed &+ UInt64(round), steps: scaled(2000), budget: 250,
        mix: Mix(large: round % 2 == 0, purge: false))
    }
    #expect(ownership.faults == 0, "replay: KALLOC_SEED=\(seed)")
    let fault = region.validate()
    #expect(fault == nil && region.isWhollyFree, "\(String(describing: fault)); replay: KALLOC_SEED=\(seed)")
    #expect(region.allocate(frames: 1024, flags: .useReserve) != nil)
  }
}

@Test func `threads that exhaust a region together get each frame once`() throws {
  for _ in 0..<10 {
    let arena = try Arena(reservedFrames: 1300, offset: 100)
    let region = arena.region
    let ownership = Ownership(region)
    onThreads(threads) { thread in
      while true {
        if thread % 2 == 0 {
          guard let frame = region.allocate(frames: 1) else { return }
          ownership.take(frame.rawValue..<frame.rawValue + 1, by: thread + 1)
        } else {
          guard let run = region.claimRow(upTo: 1 + thread, order: Order(0)) else { return }
          for i in 0..<64 where run.mask & (1 << UInt64(i)) != 0 {
            ownership.take(run.first.rawValue + i..<run.first.rawValue + i + 1, by: thread + 1)
          }
        }
      }
    }
    var left = 0
    while region.allocate(frames: 1) != nil { left += 1 }
    #expect(ownership.faults == 0 && region.validate() == nil)
    #expect(region.statistics().freeFrames == 0 && region.statistics().absentFrames == 0)
    #expect(left == 0, "a thread gave up while frames were free")
  }
}

@Test func `statistics and validation run beside everything else`() throws {
  let seed = testSeed()
  let arena = try Arena(reservedFrames: 4096)
  let region = arena.region
  let ownership = Ownership(region)
  onThreads(4) { thread in
    if thread > 0 {
      churn(region, ownership, thread, seed: seed, steps: 3000, budget: 900, mix: Mix())
    } else {
      for _ in 0..<300 {
        let statistics = region.statistics()
        if region.validate(quiescent: false) != nil || statistics.freeFrames > 4096 || statistics.freeFrames < 0 {
          ownership.fault()
        }
      }
    }
  }
  #expect(ownership.faults == 0 && region.validate() == nil, "replay: KALLOC_SEED=\(seed)")
}

@Test func `regions added by several threads are all in the list, once`() throws {
  let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  defer { word.deallocate() }
  for _ in 0..<20 {
    word.initialize(to: 0)
    let list = NodePages(head: AtomicWord(word))
    let arenas = try (0..<threads).map { _ in try Arena(givenFrames: 16, shift: 4) }
    defer { withExtendedLifetime(arenas) {} }
    let regions = arenas.map(\.region)
    onThreads(threads) { list.add(regions[$0]) }
    var count = 0
    var walk = list.regions
    while let region = walk.next() {
      #expect(regions.contains(region))
      count += 1
    }
    #expect(count == threads)
    #expect(list.statistics().totalFrames == 16 * threads)
  }
}
