import Foundation

/// One call of the recorded program.
struct TraceEvent: BitwiseCopyable, Sendable {
  enum Operation: UInt8, Sendable { case allocate, allocateZeroed, allocateAligned, reallocate, free }

  var size: Int
  /// The block made; for `.free` the block freed.
  var block: UInt32
  /// For `.reallocate` the block that is no more.
  var previous: UInt32
  var thread: UInt16
  var operation: Operation
  var alignmentShift: UInt8
}

/// A trace, decoded and found sound: each block is freed at most once, after it was made, in recorded order.
struct Trace: @unchecked Sendable {  // Sendable: not written after the decoder has made it
  let header: TraceHeader
  let events: MappedArray<TraceEvent>

  /// Reads a whole file. Throws `TraceFault` for a bad trace, and what Foundation throws for a file that cannot be read.
  init(file: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
    try self.init(data: data)
  }

  init(data: Data) throws(TraceFault) {
    var decoded: Result<Trace, TraceFault>?
    data.withUnsafeBytes { bytes in decoded = Result { () throws(TraceFault) in try Trace(bytes) } }
    self = try decoded!.get()
  }

  private init(_ bytes: UnsafeRawBufferPointer) throws(TraceFault) {
    header = try TraceHeader(bytes)
    events = MappedArray(count: header.events)
    var decoder = TraceDecoder(bytes, header, into: events)
    defer { decoder.end() }
    do { try decoder.decode() } catch {
      events.unmap()
      throw error
    }
  }

  func unmap() { events.unmap() }
}
