import KAllocAtomics
import Testing

@testable import Slab

/// A region over memory of its own, unmapped when the arena is released. An optimised build releases an array of arenas after
/// its last use: who goes on with the regions alone says `withExtendedLifetime`.
final class Arena {
  let region: PageRegion
  private let memory: UnsafeMutableRawPointer
  private let bytes: Int
  private let metadata: UnsafeMutableRawBufferPointer?

  /// Address space that grows.
  init(reservedFrames frames: Int, offset: Int = 0, reserveFrames: Int = 0) throws {
    bytes = (frames + offset) << 12
    memory = try #require(ka_os_reserve(bytes, 512 << 12))
    metadata = nil
    region = try PageRegion.create(
      base: memory + (offset << 12), bytes: frames << 12, node: NodeIndex(0), reserveFrames: reserveFrames,
      backing: .reserved)
  }

  /// Memory that is there, `offset` frames behind a block boundary. Its frames may be as small as 16 bytes.
  init(givenFrames frames: Int, shift: Int = 12, offset: Int = 0, reserveFrames: Int = 0) throws {
    bytes = max((frames + offset) << shift, 4096)
    memory = try #require(ka_os_map((bytes + 4095) & ~4095, max(4096, 512 << shift)))
    let metadata = UnsafeMutableRawBufferPointer.allocate(
      byteCount: PageRegion.metadataBytes(frames: frames), alignment: 8)
    self.metadata = metadata
    region = try PageRegion.create(
      base: memory + (offset << shift), bytes: frames << shift, frameShift: shift, node: NodeIndex(0),
      reserveFrames: reserveFrames, backing: .given, metadata: metadata)
  }

  /// The byte offset of a frame from the region's first.
  func offset(_ frame: FrameIndex?) -> Int? { frame.map { region.address(of: $0) - region.base } }

  deinit {
    region.destroy()
    metadata?.deallocate()
    ka_os_unmap(memory, (bytes + 4095) & ~4095)
  }
}

/// SplitMix64: small, and the same everywhere.
struct Random: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

/// The seed of a random test: from the environment to replay one, else a new one.
func testSeed() -> UInt64 {
  if let text = ka_os_environment("KALLOC_SEED"), let seed = UInt64(String(cString: text)) { return seed }
  return UInt64.random(in: 1...UInt64.max)
}
