// A trace's first 512 bytes. The format is described in Stress/Traces/FORMAT.md; Stress/Recorder writes it.

/// Why a trace is refused, and at which byte of the file.
struct TraceFault: Error, Equatable, CustomStringConvertible {
  var offset: Int
  var what: String
  var description: String { "byte \(offset): \(what)" }
}

/// What a trace says of itself.
struct TraceHeader: Codable, Equatable, Sendable {
  static let byteCount = 512
  static let magic: [UInt8] = Array("KATRACE\n".utf8)
  static let version: UInt32 = 1
  private static let hashOffset = 72
  private static let noteOffset = 80

  /// The recording was ended by its bound on bytes, and the program went on.
  var isCut: Bool
  /// The recorder wrote an end. Without it the program was killed or replaced itself; what is there is whole.
  var isFinished: Bool
  var threads: Int
  var events: Int
  /// Allocations and reallocations: how many block numbers there are.
  var blocks: Int
  var peakLiveBytes: Int
  var peakLiveBlocks: Int
  var chunks: Int
  var fileBytes: Int
  /// The command that was recorded.
  var note: String

  /// Reads and checks the header of a file of `bytes`.
  init(_ bytes: UnsafeRawBufferPointer) throws(TraceFault) {
    guard bytes.count >= Self.byteCount else {
      throw TraceFault(offset: bytes.count, what: "the file ends within the header of \(Self.byteCount) bytes")
    }
    for (offset, byte) in Self.magic.enumerated() where bytes[offset] != byte {
      throw TraceFault(offset: offset, what: "not a KAlloc trace")
    }
    func word32(_ offset: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian }
    func word(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian }
    guard word32(8) == Self.version else { throw TraceFault(offset: 8, what: "version \(word32(8)) is not known") }
    guard word32(12) == UInt32(Self.byteCount) else { throw TraceFault(offset: 12, what: "wrong header size") }
    var hash = FNV()
    for offset in 0..<Self.byteCount {
      let inHash = (Self.hashOffset..<Self.hashOffset + 8).contains(offset)
      hash.add(inHash ? 0 : bytes[offset])
    }
    guard hash.value == word(Self.hashOffset) else {
      throw TraceFault(offset: Self.hashOffset, what: "the header does not have the hash that it names")
    }
    guard word32(16) & ~3 == 0 else { throw TraceFault(offset: 16, what: "unknown flags") }
    isCut = word32(16) & 1 != 0
    isFinished = word32(16) & 2 != 0
    func count(_ offset: Int, _ name: String, atMost most: UInt64) throws(TraceFault) -> Int {
      guard word(offset) <= most else { throw TraceFault(offset: offset, what: "too many \(name): \(word(offset))") }
      return Int(word(offset))
    }
    fileBytes = try count(64, "bytes", atMost: 1 << 62)
    guard fileBytes >= bytes.count else {
      throw TraceFault(offset: fileBytes, what: "\(bytes.count - fileBytes) bytes after the end")
    }
    guard fileBytes == bytes.count else {
      throw TraceFault(offset: bytes.count, what: "truncated: the header promises \(fileBytes) bytes")
    }
    guard word32(20) <= 1 << 16 else { throw TraceFault(offset: 20, what: "too many threads: \(word32(20))") }
    threads = Int(word32(20))
    // An event takes a byte at least, so counts beyond the file's own size are no counts.
    let size = UInt64(bytes.count)
    events = try count(24, "events", atMost: size)
    blocks = try count(32, "blocks", atMost: min(size, UInt64(UInt32.max)))
    peakLiveBytes = try count(40, "live bytes", atMost: 1 << 62)
    peakLiveBlocks = try count(48, "live blocks", atMost: size)
    chunks = try count(56, "chunks", atMost: size)
    // It is printed: nothing in it may speak to the terminal.
    let text = bytes[Self.noteOffset..<Self.byteCount].prefix { $0 != 0 }
    note = String(decoding: text.map { $0 < 0x20 || $0 == 0x7F ? 0x3F : $0 }, as: UTF8.self)
  }
}

/// The 64-bit FNV-1a hash.
struct FNV {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
}
