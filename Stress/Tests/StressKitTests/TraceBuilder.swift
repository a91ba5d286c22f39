import Foundation

@testable import StressKit

/// Writes traces by the description in FORMAT.md, for tests of the reader: an independent second writer.
struct TraceBuilder {
  var chunks: [(bytes: [UInt8], events: UInt32)] = [([], 0)]
  var threads: UInt32 = 1
  var blocks: UInt64 = 0
  var flags: UInt32 = 2
  var note = "a test"
  /// What the header says of live bytes and blocks; `nil`: the truth.
  var peakLiveBytes: UInt64?
  var peakLiveBlocks: UInt64?
  private var sizes: [UInt64] = []
  private var live: (bytes: UInt64, blocks: UInt64, mostBytes: UInt64, mostBlocks: UInt64) = (0, 0, 0, 0)

  private mutating func made(_ size: UInt64) {
    blocks += 1
    sizes.append(size)
    live.bytes += size
    live.blocks += 1
    live.mostBytes = max(live.mostBytes, live.bytes)
    live.mostBlocks = max(live.mostBlocks, live.blocks)
  }

  private mutating func gone(_ distance: UInt64) {
    guard distance >= 1, distance <= UInt64(sizes.count), live.blocks > 0 else { return }
    live.bytes -= min(live.bytes, sizes[sizes.count - Int(distance)])
    live.blocks -= 1
  }

  private mutating func put(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      chunks[chunks.count - 1].bytes.append(UInt8(value & 0x7F) | 0x80)
      value >>= 7
    }
    chunks[chunks.count - 1].bytes.append(UInt8(value))
  }

  mutating func raw(_ value: UInt64, _ operation: UInt64, counts: Bool = true) {
    put(value << 3 | operation)
    if counts { chunks[chunks.count - 1].events += 1 }
  }

  mutating func malloc(_ size: UInt64) { raw(size, 0); made(size) }
  mutating func calloc(_ size: UInt64) { raw(size, 1); made(size) }
  mutating func aligned(_ size: UInt64, shift: UInt8) {
    raw(size, 2)
    chunks[chunks.count - 1].bytes.append(shift)
    made(size)
  }
  mutating func realloc(_ distance: UInt64, _ size: UInt64) { raw(distance, 3); put(size); gone(distance); made(size) }
  mutating func free(_ distance: UInt64) { raw(distance, 4); gone(distance) }
  mutating func thread(_ number: UInt64) {
    raw(number, 5, counts: false)
    threads = max(threads, UInt32(number) + 1)
  }
  mutating func newChunk() { chunks.append(([], 0)) }

  func data() -> Data {
    var body = Data()
    for chunk in chunks {
      append(UInt32(chunk.bytes.count), to: &body)
      append(chunk.events, to: &body)
      append(hash(chunk.bytes), to: &body)
      body.append(contentsOf: chunk.bytes)
    }
    let events = chunks.reduce(0) { $0 + UInt64($1.events) }
    func header(_ hash: UInt64) -> Data {
      var header = Data("KATRACE\n".utf8)
      for word in [1, 512, flags, threads] as [UInt32] { append(word, to: &header) }
      for word in [
        events, blocks, peakLiveBytes ?? live.mostBytes, peakLiveBlocks ?? live.mostBlocks, UInt64(chunks.count),
        UInt64(512 + body.count), hash,
      ] {
        append(word, to: &header)
      }
      header.append(contentsOf: note.utf8)
      header.append(contentsOf: [UInt8](repeating: 0, count: 512 - header.count))
      return header
    }
    return header(hash([UInt8](header(0)))) + body
  }

  private func append<Word: FixedWidthInteger>(_ word: Word, to data: inout Data) {
    withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) }
  }

  private func hash(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// A few thousand events of four threads that free and resize each other's blocks.
  static func busy(seed: UInt64, events: Int = 4000) -> TraceBuilder {
    var builder = TraceBuilder()
    var random = RandomSource(seed: seed, stream: 9)
    var live: [UInt64] = []
    for turn in 0..<events {
      if turn % 1500 == 1499 { builder.newChunk() }
      if random.once(in: 5) { builder.thread(UInt64(random.below(4))) }
      let size = UInt64(1 + random.below(random.once(in: 20) ? 100_000 : 400))
      switch random.below(8) {
      case 0: builder.calloc(size)
      case 1: builder.aligned(size, shift: UInt8(random.below(13)))
      case 2 where !live.isEmpty:
        builder.realloc(builder.blocks - live.remove(at: random.below(live.count)), size)
      case 3, 4, 5:
        guard !live.isEmpty else { continue }
        builder.free(builder.blocks - live.remove(at: random.below(live.count)))
        continue
      default: builder.malloc(size)
      }
      live.append(builder.blocks - 1)
    }
    return builder
  }
}
