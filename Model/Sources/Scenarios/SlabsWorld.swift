// A table of slabs over a small region, with names for its words.

import Explorer
import KAllocAtomics

@testable import Slab

/// One size class of a table over a region of given frames.
struct SmallTable {
  let region: SmallRegion
  let table: SlabTable
  let geometry: SlabGeometry
  var sizeClass: SizeClass { geometry.sizeClass }

  init(objectBytes: Int, slabs: Int, backing: PageRegion.Backing = .given) throws {
    let infos = arena(bytes: StackIndex.count * MemoryLayout<StackInfo>.stride)
      .bindMemory(to: StackInfo.self, capacity: StackIndex.count)
    var last: StackInfo? = nil
    for index in 0..<StackIndex.count {
      let info = StackInfo(StackIndex(rawValue: index), after: last)
      (infos + index).initialize(to: info)
      last = info
    }
    geometry = infos[SizeClass(holding: objectBytes).index].slab
    region = try SmallRegion(geometry.frames * slabs, shift: Frames.usualShift, backing: backing)
    let bytes = SlabTable.bytes(frames: region.pages.blocks * Frames.perBlock)
    table = SlabTable.make(region.pages, in: arena(bytes: bytes), classes: infos, mapped: false)
  }

  /// A table that a heap made.
  init(existing table: SlabTable, _ region: SmallRegion, _ geometry: SlabGeometry) {
    self.region = region
    self.table = table
    self.geometry = geometry
  }

  /// A slab of which the first `count` objects are out.
  func prepare(_ count: Int) -> [UInt64] {
    guard let head = region.pages.allocate(frames: geometry.frames, alignment: geometry.frames) else {
      preconditionFailure("no frames for a slab")
    }
    return withRoom(count) { table.create(sizeClass, at: head, upTo: count, into: $0) }
  }

  /// As the heap does: a new slab. Nothing where there are no frames.
  func create(_ count: Int) -> [UInt64] {
    guard let head = region.pages.allocate(frames: geometry.frames, alignment: geometry.frames) else { return [] }
    return withRoom(count) { table.create(sizeClass, at: head, upTo: count, into: $0) }
  }

  @discardableResult
  func take(_ limit: Int) -> [UInt64] {
    note("take objects, up to", UInt64(limit))
    return withRoom(limit) { table.take(sizeClass, upTo: limit, into: $0) }
  }

  private func withRoom(_ count: Int, _ body: (UnsafeMutablePointer<UInt64>) -> Int) -> [UInt64] {
    let room = UnsafeMutablePointer<UInt64>.allocate(capacity: max(count, 1))
    defer { room.deallocate() }
    let got = body(room)
    let objects = (0..<got).map { room[$0] }
    for object in objects { nowOwns(pointer(object), bytes: geometry.objectBytes, stride: geometry.objectBytes) }
    return objects
  }

  func pointer(_ object: UInt64) -> UnsafeRawPointer { UnsafeRawPointer(bitPattern: UInt(object))! }

  /// Returns one object.
  func give(_ object: UInt64) {
    noLongerOwns(pointer(object), bytes: geometry.objectBytes, stride: geometry.objectBytes)
    guard let (head, index) = table.place(object, geometry) else { return expect(false, "an owned object has no slab") }
    _ = table.give(1 << UInt64(index & 63), word: index >> 6, of: head, geometry)
  }

  func give(_ objects: [UInt64]) { for object in objects { give(object) } }

  func purge() {
    note("purge")
    var time = PurgeTime.unlimited
    _ = table.purge(within: &time) { _ in }
  }

  /// An object that is out has memory behind it that a purge will not take for given back.
  func checkDirty(_ objects: [UInt64]) {
    for object in objects {
      guard let frame = region.pages.frame(of: pointer(object)) else { continue }
      let dirty = region.pages.dirtyWord(frame.rawValue >> 6).loadRelaxed() >> UInt64(frame.rawValue & 63) & 1
      expect(dirty == 1, "an object that is out lies on a frame that counts as given back")
    }
  }

  /// A slab with free pages that have memory behind them will be found by the next purge.
  func checkPurgeHints() {
    table.forEachHead { head, word in
      guard geometry.isPurged(free: word.free) else { return }
      let perFrame = Frames.bytes / geometry.objectBytes
      for frame in 0..<geometry.frames {
        let place = head.rawValue + frame
        let objects = table.bits[table.firstWord(of: head) + frame * perFrame / 64].loadRelaxed()
        let isFree = ~(objects >> UInt64(frame * perFrame % 64)) & Row.mask(perFrame) == 0
        let isDirty = region.pages.dirtyWord(place >> 6).loadRelaxed() >> UInt64(place & 63) & 1 == 1
        let hint = region.pages.hintWord(tree: place / Frames.perBlock >> 6, tier: Tier.slabs).loadRelaxed()
        let isHinted = hint >> UInt64(place / Frames.perBlock & 63) & 1 == 1
        expect(!isFree || !isDirty || isHinted, "free pages of a slab are hidden from purges")
      }
    }
  }

  /// What must hold when all threads have ended.
  func check() {
    var free = 0
    var slabs = 0
    table.forEachHead { head, word in
      slabs += 1
      var bits = 0
      for index in 0..<geometry.words {
        bits += table.bits[table.firstWord(of: head) + index].loadRelaxed().nonzeroBitCount
      }
      expect(bits == word.free, "a slab's number is not that of its bits", bits - word.free)
      free += word.free
      if word.free > 0 {
        expect(table.candidate(sizeClass, from: head) == head, "a slab with free objects cannot be found")
      }
    }
    expect(
      slabs * geometry.objects - free == ownedBlocks, "objects are lost: neither free nor owned",
      slabs * geometry.objects - free - ownedBlocks)
    if let fault = region.pages.validate() {
      note("fault")
      _ = fault
      expect(false, "the page level is invalid")
    }
    expect(
      region.pages.statistics().allocatedFrames == slabs * geometry.frames, "frames are lost: no slab heads them")
  }

  func names() -> (UInt) -> String? {
    var names: [UInt: String] = [:]
    func name(_ word: AtomicWord, _ text: String) { names[UInt(bitPattern: word.address)] = text }
    for frame in 0..<region.pages.blocks * Frames.perBlock {
      name(table.words[frame], "slab \(frame)")
      names[UInt(bitPattern: table.owners[frame].address)] = "owner \(frame)"
      for word in 0..<SlabTable.bitWordsPerFrame {
        let index = frame * SlabTable.bitWordsPerFrame + word
        name(table.bits[index], "bits \(index)")
      }
    }
    for row in 0..<region.pages.blocks * Frames.rowsPerBlock { name(table.heads[row], "heads \(row)") }
    let header = table.header
    name(header.pointee.blocks[sizeClass.index], "blocks of class")
    name(header.pointee.summary[sizeClass.index], "summary of class")
    name(table.spares[sizeClass.index], "spare")
    let pages = region.names()
    return { names[$0] ?? pages($0) }
  }
}

func world(_ table: SmallTable, _ threads: (() -> Void)..., check: @escaping () -> Void = {}) -> World {
  var world = World()
  world.threads = threads
  world.names = [table.names()]
  world.check = {
    check()
    table.check()
  }
  return world
}
