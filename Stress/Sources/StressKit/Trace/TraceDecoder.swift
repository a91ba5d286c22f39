// From the bytes of a trace to its events, refusing whatever the format does not allow, with the byte where it stands.
//
// A chunk's hash is checked before its events are looked at, so most damage is found as a chunk whose hash is wrong.
// The events are checked all the same: a recorder may have been wrong, and what is replayed must be sound.

struct TraceDecoder {
  private let bytes: UnsafeRawBufferPointer
  private let header: TraceHeader
  private let events: MappedArray<TraceEvent>
  /// 1 + the bytes of a block that is live, by its number; 0: it is not.
  private let live: MappedArray<UInt64>
  private var liveBytes: UInt64 = 0
  private var liveBlocks = 0
  private var peakLiveBytes: UInt64 = 0
  private var peakLiveBlocks = 0
  private var threads = 1
  private var offset = TraceHeader.byteCount
  private var made = 0
  private var blocks = 0
  private var thread: UInt16 = 0

  private static let chunkHeaderBytes = 16
  private static let mostChunkBytes = 1 << 16
  /// Larger than any address space: a size beyond it is damage.
  private static let mostBytes: UInt64 = 1 << 47

  init(_ bytes: UnsafeRawBufferPointer, _ header: TraceHeader, into events: MappedArray<TraceEvent>) {
    self.bytes = bytes
    self.header = header
    self.events = events
    live = MappedArray(count: header.blocks)
  }

  func end() { live.unmap() }

  mutating func decode() throws(TraceFault) {
    var chunks = 0
    while offset < bytes.count {
      try decodeChunk()
      chunks += 1
    }
    func check(_ found: Int, _ promised: Int, _ field: Int, _ what: String) throws(TraceFault) {
      guard found != promised else { return }
      throw TraceFault(offset: field, what: "the header promises \(promised) \(what), the trace has \(found)")
    }
    try check(chunks, header.chunks, 56, "chunks")
    try check(made, header.events, 24, "events")
    try check(blocks, header.blocks, 32, "blocks")
    try check(threads, header.threads, 20, "threads")
    try check(Int(clamping: peakLiveBytes), header.peakLiveBytes, 40, "live bytes at most")
    try check(peakLiveBlocks, header.peakLiveBlocks, 48, "live blocks at most")
  }

  private mutating func decodeChunk() throws(TraceFault) {
    let start = offset
    guard start + Self.chunkHeaderBytes <= bytes.count else {
      throw TraceFault(offset: start, what: "the file ends within a chunk's header")
    }
    let size = Int(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self).littleEndian)
    let count = Int(bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self).littleEndian)
    let hash = bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self).littleEndian
    let end = start + Self.chunkHeaderBytes + size
    guard size > 0, size <= Self.mostChunkBytes, end <= bytes.count else {
      throw TraceFault(offset: start, what: "a chunk of \(size) bytes does not fit")
    }
    var found = FNV()
    for index in start + Self.chunkHeaderBytes..<end { found.add(bytes[index]) }
    guard found.value == hash else {
      throw TraceFault(offset: start, what: "the chunk does not have the hash that it names")
    }
    offset = start + Self.chunkHeaderBytes
    let first = made
    while offset < end { try decodeEvent(end) }
    guard made - first == count else {
      throw TraceFault(offset: start + 4, what: "the chunk promises \(count) events and has \(made - first)")
    }
  }

  private mutating func decodeEvent(_ end: Int) throws(TraceFault) {
    let start = offset
    let number = try varint(end)
    let value = number >> 3
    switch number & 7 {
    case 0: try allocate(.allocate, value, shift: 4, start)
    case 1: try allocate(.allocateZeroed, value, shift: 4, start)
    case 2:
      guard offset < end else { throw TraceFault(offset: start, what: "an alignment is missing") }
      let shift = bytes[offset]
      offset += 1
      guard shift <= 40 else { throw TraceFault(offset: offset - 1, what: "alignment 1 << \(shift)") }
      try allocate(.allocateAligned, value, shift: shift, start)
    case 3:
      let old = try take(value, start)
      let size = try varint(end)
      try allocate(.reallocate, size, shift: 4, start, previous: old)
    case 4:
      let block = try take(value, start)
      try add(
        TraceEvent(size: 0, block: block, previous: 0, thread: thread, operation: .free, alignmentShift: 0), start)
    case 5:
      guard value < UInt64(header.threads) else {
        throw TraceFault(offset: start, what: "thread \(value) of \(header.threads)")
      }
      thread = UInt16(value)
      threads = max(threads, Int(value) + 1)
    default:
      throw TraceFault(offset: start, what: "unknown operation \(number & 7)")
    }
  }

  private mutating func allocate(
    _ operation: TraceEvent.Operation, _ size: UInt64, shift: UInt8, _ start: Int, previous: UInt32 = 0
  ) throws(TraceFault) {
    guard size < Self.mostBytes else { throw TraceFault(offset: start, what: "a block of \(size) bytes") }
    guard blocks < header.blocks else {
      throw TraceFault(offset: start, what: "more blocks than the \(header.blocks) that the header promises")
    }
    try add(
      TraceEvent(
        size: Int(size), block: UInt32(blocks), previous: previous, thread: thread, operation: operation,
        alignmentShift: shift), start)
    live[blocks] = size + 1
    blocks += 1
    liveBytes += size
    liveBlocks += 1
    peakLiveBytes = max(peakLiveBytes, liveBytes)
    peakLiveBlocks = max(peakLiveBlocks, liveBlocks)
  }

  /// The number of the live block that lies `distance` allocations back; it is not live afterwards.
  private mutating func take(_ distance: UInt64, _ start: Int) throws(TraceFault) -> UInt32 {
    guard distance >= 1, distance <= UInt64(blocks) else {
      throw TraceFault(offset: start, what: "a block \(distance) allocations back, of \(blocks)")
    }
    let block = blocks - Int(distance)
    guard live[block] > 0 else { throw TraceFault(offset: start, what: "block \(block) is freed twice") }
    liveBytes -= live[block] - 1
    liveBlocks -= 1
    live[block] = 0
    return UInt32(block)
  }

  private mutating func add(_ event: TraceEvent, _ start: Int) throws(TraceFault) {
    guard made < header.events else {
      throw TraceFault(offset: start, what: "more events than the \(header.events) that the header promises")
    }
    events[made] = event
    made += 1
  }

  private mutating func varint(_ end: Int) throws(TraceFault) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 63, by: 7) {
      guard offset < end else { throw TraceFault(offset: start, what: "the chunk ends within a number") }
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw TraceFault(offset: start, what: "a number of more than 63 bits")
  }
}
