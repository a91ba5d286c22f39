import Glibc
import Slab

// The page level by itself, beside one Bool for each frame: regions that grow and regions that are given, in a list of a node.
// One operation of the program is one call here; the world is made by the first.

/// Regions, and what each frame of them should be.
struct PageWorld {
  /// Frames that a call gave, as ranges of frame numbers.
  struct Run {
    var region: Int
    var frames: Range<Int>
  }

  struct Region {
    let region: PageRegion
    let memory: UnsafeMutableRawPointer
    let bytes: Int
    let reserve: Int
    var isFree: [Bool]
    /// Freed after somebody may have written to it, and not purged since.
    var isDirty: [Bool]

    var first: Int { region.firstFrame.rawValue }
    var isReserved: Bool { region.backing == .reserved }
    var freeFrames: Int { isFree.count { $0 } }

    func isWhollyFree(_ frames: Range<Int>) -> Bool {
      frames.lowerBound >= first && frames.upperBound <= first + isFree.count && !frames.isEmpty
        && frames.allSatisfy { isFree[$0 - first] }
    }

    /// Whether an aligned run of so many frames is free.
    func hasRun(_ frames: Int, _ alignment: Int) -> Bool {
      let origin = Int(bitPattern: region.base) >> region.frameShift - first
      var length = 0
      for index in isFree.indices.reversed() {
        length = isFree[index] ? length + 1 : 0
        if length >= frames, (origin + first + index) % alignment == 0 { return true }
      }
      return false
    }

    func mayTake(_ frames: Int, _ flags: AllocFlags) -> Bool {
      reserve == 0 || freeFrames - frames >= (flags.contains(.useReserve) ? 0 : reserve)
    }
  }

  var regions: [Region] = []
  var runs: [Run] = []
  let head = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  var pages: NodePages { NodePages(head: AtomicWord(head)) }

  init(shape: Int) {
    head.initialize(to: 0)
    for index in 0...shape & 1 {
      let backing: PageRegion.Backing = (shape >> 1 + index) & 1 == 0 ? .reserved : .given
      let frames = 90 + (shape >> 3 & 3) * 450 + index * 37
      let bytes = (frames + 32) << Frames.usualShift
      let access = backing == .reserved ? PROT_NONE : PROT_READ | PROT_WRITE
      let memory = mmap(nil, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)!
      let reserve = shape & 64 != 0 ? 20 : 0
      guard
        let region = try? PageRegion.create(
          base: memory + (shape >> 5 & 1) * 5000, bytes: frames << Frames.usualShift, node: NodeIndex(0),
          reserveFrames: reserve, backing: backing)
      else { fail("a region of \(frames) frames is refused") }
      pages.add(region)
      regions.append(
        Region(
          region: region, memory: memory, bytes: bytes, reserve: reserve,
          isFree: Array(repeating: true, count: region.frameCount),
          isDirty: Array(repeating: false, count: region.frameCount)))
    }
    var walk = pages.regions
    for known in regions { require(walk.next() == known.region, "the list of regions has another order") }
    require(walk.next() == nil && pages.first == regions[0].region, "the list of regions has another length")
  }

  func end() {
    for known in regions {
      require(known.region.isWhollyFree && known.freeFrames == known.isFree.count, "frames are missing at the end")
      known.region.destroy()
      munmap(known.memory, known.bytes)
    }
    head.deallocate()
  }

  // MARK: What came and what goes

  mutating func take(_ index: Int, _ frames: Range<Int>, _ what: String) {
    let known = regions[index]
    require(known.isWhollyFree(frames), "\(what): gives \(frames), of which not all are free")
    let isClean = known.region.isClean(FrameIndex(frames.lowerBound), frames: frames.count)
    let expected = known.isReserved && frames.allSatisfy { !known.isDirty[$0 - known.first] }
    require(isClean == expected, "\(what): \(frames) said to be clean: \(isClean)")
    for frame in frames {
      let memory = known.region.address(of: FrameIndex(frame))
      require(known.region.frame(of: memory + 4095)?.rawValue == frame, "\(what): frame \(frame) has another address")
      if isClean { require(memory.load(as: UInt64.self) == 0, "\(what): a clean frame, \(frame), is not zero") }
      memory.storeBytes(of: UInt64(frame), as: UInt64.self)
      memory.storeBytes(of: UInt64(frame), toByteOffset: 4088, as: UInt64.self)
      regions[index].isFree[frame - known.first] = false
    }
    runs.append(Run(region: index, frames: frames))
  }

  mutating func give(_ index: Int, _ frames: Range<Int>, touched: Bool = true) {
    let known = regions[index]
    for frame in frames {
      let memory = known.region.address(of: FrameIndex(frame))
      require(
        memory.load(as: UInt64.self) == UInt64(frame)
          && memory.load(fromByteOffset: 4088, as: UInt64.self) == UInt64(frame), "frame \(frame) was written to")
      regions[index].isFree[frame - known.first] = true
      if touched, known.isReserved { regions[index].isDirty[frame - known.first] = true }
    }
  }
}

extension Interpreter {
  mutating func usePages() {
    if world == nil { world = PageWorld(shape: input.byte()) }
    let index = input.below(world!.regions.count)
    let known = world!.regions[index]
    let region = known.region
    let choice = input.below(12)
    let frames = [1 + input.below(4), 1 + input.below(64), 1 + input.below(520), 1 << input.below(10)][choice & 3]
    trace("pages \(choice), region \(index), \(frames) frames")
    switch choice {
    case 0...2: allocateFrames(index, frames)
    case 3: claimRow(index)
    case 4:
      let at = known.first + input.word() % known.isFree.count
      let expected = known.isWhollyFree(at..<at + frames) && known.mayTake(frames, [])
      require(region.allocate(at: FrameIndex(at), frames: frames) == expected, "allocate(at: \(at), \(frames))")
      if expected { world!.take(index, at..<at + frames, "allocate(at:)") }
    case 5:
      guard let run = world!.runs.last(where: { $0.region == index })?.frames else { return }
      let more = run.upperBound..<run.upperBound + frames
      let expected = known.isWhollyFree(more) && known.mayTake(frames, [])
      let isLonger = region.extend(FrameIndex(run.lowerBound), frames: run.count, by: frames)
      require(isLonger == expected, "extend(\(run), by: \(frames)) is \(isLonger)")
      if expected { world!.take(index, more, "extend") }
    case 6...8: freeFrames()
    case 9: purgeFrames(index)
    case 10: inspectPages()
    default: refuseOddFrames(index)
    }
  }

  private mutating func allocateFrames(_ index: Int, _ frames: Int) {
    let alignment = 1 << input.below(10)
    let flags: AllocFlags = input.below(4) == 0 ? .useReserve : []
    let what = "allocate(frames: \(frames), alignment: \(alignment))"
    let regions = world!.regions
    func serves(_ known: PageWorld.Region) -> Bool {
      known.mayTake(frames, flags) && known.hasRun(frames, alignment)
    }
    if alignment & 1 == 1, let (region, first) = world!.pages.allocate(frames: frames, flags: flags) {
      let found = regions.firstIndex { $0.region == region }!
      require(regions.firstIndex(where: serves) == found, "\(what): region \(found) is not the first that can")
      return world!.take(found, first.rawValue..<first.rawValue + frames, what)
    }
    guard let first = regions[index].region.allocate(frames: frames, alignment: alignment, flags: flags) else {
      return require(!serves(regions[index]), "\(what): refused, and there is such a run")
    }
    let address = Int(bitPattern: regions[index].region.address(of: first))
    require(address % (alignment << Frames.usualShift) == 0, "\(what): gives \(first), not aligned")
    world!.take(index, first.rawValue..<first.rawValue + frames, what)
  }

  private mutating func claimRow(_ index: Int) {
    let (limit, order) = (input.below(80), Order(input.below(7)))
    let what = "claimRow(upTo: \(limit), order: \(order.rawValue))"
    let known = world!.regions[index]
    guard let run = known.region.claimRow(upTo: limit, order: order) else {
      let serves = known.mayTake(order.frames, []) && known.hasRun(order.frames, order.frames)
      return require(limit < order.frames || !serves, "\(what): refused, and there is such a run")
    }
    require((1...min(limit, 64)).contains(run.frames) && run.frames % order.frames == 0, "\(what): gives \(run)")
    for bit in 0..<64 where run.mask >> UInt64(bit) & 1 != 0 {
      let frame = run.first.rawValue + bit
      world!.take(index, frame..<frame + 1, what)
    }
  }

  /// A run or one end of it, through the row where it lies in one.
  private mutating func freeFrames() {
    guard !world!.runs.isEmpty else { return }
    let place = input.word() % world!.runs.count
    let (form, part) = (input.below(4), input.below(3))
    var run = world!.runs.remove(at: place)
    if part == 0, run.frames.count > 1 {
      let middle = run.frames.lowerBound + run.frames.count / 2
      world!.runs.append(PageWorld.Run(region: run.region, frames: middle..<run.frames.upperBound))
      run.frames = run.frames.lowerBound..<middle
    }
    let region = world!.regions[run.region].region
    let row = run.frames.lowerBound & ~63
    let touched = form != 1
    world!.give(run.region, run.frames, touched: touched || run.frames.upperBound > row + 64)
    guard form < 2, run.frames.upperBound <= row + 64 else {
      return require(
        region.free(FrameIndex(run.frames.lowerBound), frames: run.frames.count), "free(\(run.frames)) is refused")
    }
    let mask = run.frames.reduce(UInt64(0)) { $0 | 1 << UInt64($1 - row) }
    // Said to be untouched: then it is.
    if !touched { for frame in run.frames { wipe(region, frame) } }
    require(region.freeRow(FrameIndex(row), mask, touched: touched), "freeRow(\(run.frames)) is refused")
  }

  private func wipe(_ region: PageRegion, _ frame: Int) {
    let memory = region.address(of: FrameIndex(frame))
    memory.storeBytes(of: 0, as: UInt64.self)
    memory.storeBytes(of: 0, toByteOffset: 4088, as: UInt64.self)
  }

  private mutating func purgeFrames(_ index: Int) {
    let budget = input.below(2) == 0 ? input.below(100) : input.word()
    func dirty(_ known: PageWorld.Region) -> Int { zip(known.isFree, known.isDirty).count { $0 && $1 } }
    let known = world!.regions[index]
    require(known.region.statistics().dirtyFrames == dirty(known), "other frames are dirty than were freed")
    // Which ones a small budget takes is the allocator's; how many is known.
    let few = known.region.purge(upTo: budget)
    require((0...budget).contains(few), "purge(upTo: \(budget)) released \(few)")
    let left = dirty(known) - few
    require(few == min(budget, dirty(known)) || left > 0, "purge(upTo: \(budget)) released \(few)")
    require(known.region.statistics().dirtyFrames == left, "purge says \(few), and leaves another number")
    require(known.region.purge(upTo: .max) == left, "a purge of everything leaves something")
    for frame in known.isFree.indices where known.isFree[frame] { world!.regions[index].isDirty[frame] = false }
    require(world!.pages.purge(upTo: 0) == 0, "a purge of nothing releases something")
  }

  func inspectPages() {
    guard let world else { return }
    if let fault = world.pages.validate() { fail("validate of pages: \(fault)") }
    var sum = PageStatistics()
    for known in world.regions {
      let found = known.region.statistics()
      sum.add(found)
      require(found.totalFrames == known.isFree.count, "\(found.totalFrames) frames, not \(known.isFree.count)")
      let taken = known.isFree.count - known.freeFrames
      require(found.allocatedFrames == taken, "\(found.allocatedFrames) frames are allocated, not \(taken)")
      let byOrder = found.freeByOrder.indices.reduce(0) { $0 + found.freeByOrder[$1] << $1 }
      require(byOrder == found.freeFrames, "the orders have \(byOrder) free frames, not \(found.freeFrames)")
      require(known.region.isWhollyFree == (taken == 0), "isWhollyFree with \(taken) frames out")
      require(world.pages.region(containing: known.region.base) == known.region, "a region is not found")
      require(!known.region.contains(known.region.base - 1), "the byte before a region is in it")
    }
    let all = world.pages.statistics()
    require(
      all.totalFrames == sum.totalFrames && all.freeFrames == sum.freeFrames
        && all.largestFreeRun == sum.largestFreeRun,
      "the node's statistics are not the sum of its regions'")
  }

  /// What must be refused, and changes nothing.
  private mutating func refuseOddFrames(_ index: Int) {
    let known = world!.regions[index]
    let region = known.region
    let frames = [0, -1, Int.max, Int.min, known.isFree.count + 1][input.below(5)]
    let alignment = [0, 3, -1, Int.min, 1 << 41][input.below(5)]
    require(region.allocate(frames: frames) == nil, "\(frames) frames are served")
    require(region.allocate(frames: 1, alignment: alignment) == nil, "an alignment of \(alignment) is served")
    require(region.claimRow(upTo: 64, order: Order(7 + input.below(60))) == nil, "a row of order 7 is served")
    let outside = FrameIndex([-1, known.first + known.isFree.count, Int.max, Int.min, known.first - 1][input.below(5)])
    require(!region.allocate(at: outside, frames: 1), "frame \(outside) is served")
    require(!region.free(outside, frames: 1) && !region.freeRow(outside, 1), "frame \(outside) is freed")
    require(!region.free(region.firstFrame, frames: frames), "\(frames) frames are freed")
    if let free = known.isFree.firstIndex(of: true) {
      let frame = FrameIndex(known.first + free)
      require(!region.free(frame, frames: 1), "the free frame \(frame) is freed")
      require(
        !region.freeRow(FrameIndex(frame.rawValue & ~63), 1 << UInt64(frame.rawValue & 63)), "the same, by its row")
    }
    inspectPages()
  }

  mutating func endPages() {
    while world.map({ !$0.runs.isEmpty }) ?? false {
      let run = world!.runs.removeLast()
      world!.give(run.region, run.frames)
      let freed = world!.regions[run.region].region.free(FrameIndex(run.frames.lowerBound), frames: run.frames.count)
      require(freed, "free(\(run.frames)) is refused at the end")
    }
    inspectPages()
    world?.end()
    world = nil
  }
}
