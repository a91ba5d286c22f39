// Small regions of frames, with names for their words.

import Explorer
import KAllocAtomics

@testable import Slab

/// A region in the arena: as few frames as a scenario needs.
struct SmallRegion {
  let pages: PageRegion
  let frameBytes: Int

  /// - Parameters:
  ///   - frames: usable ones, from the first of a block on.
  ///   - shift: 4: frames of 16 bytes; 12 for reserved regions.
  init(_ frames: Int, shift: Int = 4, backing: PageRegion.Backing = .given, reserveFrames: Int = 0) throws {
    let block = Frames.perBlock << shift
    let base = arena(bytes: frames << shift, alignment: max(block, 4096))
    var metadata: UnsafeMutableRawBufferPointer? = nil
    if backing == .given {
      let bytes = PageRegion.metadataBytes(frames: frames)
      metadata = UnsafeMutableRawBufferPointer(start: arena(bytes: bytes), count: bytes)
    }
    frameBytes = 1 << shift
    pages = try PageRegion.create(
      base: base, bytes: frames << shift, frameShift: shift, node: NodeIndex(0), reserveFrames: reserveFrames,
      backing: backing, metadata: metadata)
  }

  /// A region that a heap made.
  init(existing pages: PageRegion) {
    self.pages = pages
    frameBytes = 1 << pages.frameShift
  }

  /// Allocates; what it gets is owned.
  @discardableResult
  func take(_ frames: Int, alignment: Int = 1, flags: AllocFlags = []) -> FrameIndex? {
    note("allocate frames", UInt64(frames))
    guard let first = pages.allocate(frames: frames, alignment: alignment, flags: flags) else {
      note("no frames")
      return nil
    }
    own(first, frames)
    return first
  }

  func own(_ first: FrameIndex, _ frames: Int) {
    nowOwns(pages.address(of: first), bytes: frames * frameBytes, stride: max(8, frameBytes))
  }

  /// Gives back frames that are owned.
  func give(_ first: FrameIndex, _ frames: Int) {
    noLongerOwns(pages.address(of: first), bytes: frames * frameBytes, stride: max(8, frameBytes))
    expect(pages.free(first, frames: frames), "a free of owned frames found one free")
  }

  /// Takes exactly these, while a scenario is made.
  func prepare(_ first: Int, _ frames: Int) {
    precondition(pages.allocate(at: FrameIndex(first), frames: frames), "the scenario's frames are not free")
    own(FrameIndex(first), frames)
  }

  /// What must hold when all threads have ended.
  func check() {
    if let fault = pages.validate(quiescent: true) { expect(false, text(of: fault)) }
    expect(
      pages.statistics().allocatedFrames * frameBytes == ownedBytes, "frames are lost: allocated, but nobody's",
      pages.statistics().allocatedFrames * frameBytes - ownedBytes)
  }

  private func text(of fault: PageFault) -> StaticString {
    switch fault {
    case .blockWord: "validate: a block word is invalid, or growing for ever"
    case .freeCount: "validate: a block word's number is not that of its clear bits"
    case .misfit: "validate: a frame outside the region is free"
    case .absentRow: "validate: an absent block has bits set"
    case .hint: "validate: a hint is clear although the block has such a run"
    case .available: "validate: the watermark's counter is wrong"
    case .dirtyHint: "validate: no hint leads to a block with dirty free frames"
    }
  }

  func names() -> (UInt) -> String? {
    var names: [UInt: String] = [:]
    func name(_ word: AtomicWord, _ text: String) { names[UInt(bitPattern: word.address)] = text }
    func name32(_ word: AtomicWord32, _ text: String) { names[UInt(bitPattern: word.address)] = text }
    for block in 0..<pages.blocks {
      name32(pages.blockWord(block), "block \(block)")
      name32(pages.ageWord(block), "age \(block)")
      for row in block * Frames.rowsPerBlock..<(block + 1) * Frames.rowsPerBlock {
        name(pages.rowWord(row), "row \(row)")
        name(pages.dirtyWord(row), "dirty \(row)")
      }
    }
    for tree in 0...(pages.blocks - 1) / Frames.blocksPerTree {
      for tier in 0...Tier.slabs { name(pages.hintWord(tree: tree, tier: tier), "hint tree \(tree) tier \(tier)") }
    }
    name(pages.availableWord, "available")
    name(pages.highWord, "high")
    name(pages.growWord, "grow")
    name(pages.nextWord, "next region")
    return { names[$0] }
  }
}

/// The world of threads that share one region.
func world(_ region: SmallRegion, _ threads: (() -> Void)..., check: @escaping () -> Void = {}) -> World {
  var world = World()
  world.threads = threads
  world.names = [region.names()]
  world.check = {
    check()
    region.check()
  }
  return world
}
