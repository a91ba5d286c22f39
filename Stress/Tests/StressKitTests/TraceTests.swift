import Foundation
import Testing

@testable import StressKit

/// The fault that reading `data` ends in, or `nil`.
private func fault(_ data: Data) -> TraceFault? {
  do {
    try Trace(data: data).unmap()
    return nil
  } catch { return error }
}

@Suite struct TraceTests {
  @Test func `a trace reads as it was written`() throws {
    var builder = TraceBuilder()
    builder.malloc(100)
    builder.thread(1)
    builder.aligned(64, shift: 12)
    builder.newChunk()
    builder.realloc(2, 5000)
    builder.thread(0)
    builder.calloc(0)
    builder.free(3)
    let trace = try Trace(data: builder.data())
    defer { trace.unmap() }
    let events = (0..<trace.events.count).map { trace.events[$0] }
    #expect(events.map(\.size) == [100, 64, 5000, 0, 0])
    #expect(events.map(\.block) == [0, 1, 2, 3, 1])
    #expect(events.map(\.thread) == [0, 1, 1, 0, 0])
    #expect(events[2].previous == 0)
    #expect(events[1].alignmentShift == 12)
    #expect(events.map(\.operation) == [.allocate, .allocateAligned, .reallocate, .allocateZeroed, .free])
    #expect(trace.header.note == "a test")
    #expect(trace.header.isFinished && !trace.header.isCut)
  }

  @Test func `a truncated trace is refused with the offset where it ends`() {
    let data = TraceBuilder.busy(seed: 1, events: 300).data()
    #expect(fault(data) == nil)
    for length in 0..<data.count {
      let found = fault(data.prefix(length))
      #expect(found?.offset == length, "\(length) bytes: \(String(describing: found))")
    }
  }

  @Test func `a trace with any byte changed is refused`() {
    let data = TraceBuilder.busy(seed: 2, events: 300).data()
    for offset in 0..<data.count {
      var changed = data
      changed[offset] ^= 0x20
      let found = fault(changed)
      #expect(found != nil, "byte \(offset)")
      if let found { #expect((0...data.count).contains(found.offset)) }
    }
  }

  @Test func `bytes after the end are refused`() {
    let data = TraceBuilder.busy(seed: 3, events: 30).data()
    #expect(fault(data + [0])?.offset == data.count)
  }

  @Test(arguments: [
    "twice", "unmade", "zero", "operation", "thread", "size", "alignment", "number", "counts", "blocks",
  ])
  func `an unsound event is refused though all hashes are right`(_ what: String) throws {
    var builder = TraceBuilder()
    builder.malloc(16)  // one byte at 528 … a varint of two: 16 << 3 is 128
    let offset = 512 + 16 + 2
    switch what {
    case "twice":
      builder.free(1)
      builder.free(1)
      #expect(fault(builder.data())?.offset == offset + 1)
      return
    case "unmade": builder.free(2)
    case "zero": builder.free(0)
    case "operation": builder.raw(1, 6)
    case "thread": builder.raw(7, 5, counts: false)
    case "size": builder.malloc(1 << 47)
    case "alignment":
      builder.aligned(8, shift: 41)
      #expect(fault(builder.data())?.offset == offset + 1)
      return
    case "number":
      for _ in 0..<10 { builder.chunks[0].bytes.append(0x80) }
    case "counts":
      builder.chunks[0].events += 1
      #expect(fault(builder.data())?.offset == 512 + 4)
      return
    default:
      builder.malloc(8)
      builder.blocks -= 1
    }
    #expect(fault(builder.data())?.offset == offset, "\(String(describing: fault(builder.data())))")
  }

  @Test func `what the header says of threads and live blocks must be so`() {
    var builder = TraceBuilder()
    builder.malloc(100)
    builder.malloc(50)
    builder.free(1)
    #expect(fault(builder.data()) == nil)
    builder.peakLiveBytes = 149
    #expect(fault(builder.data())?.offset == 40)
    builder.peakLiveBytes = nil
    builder.peakLiveBlocks = 1
    #expect(fault(builder.data())?.offset == 48)
    builder.peakLiveBlocks = nil
    builder.threads = 60_000
    #expect(fault(builder.data())?.offset == 20)
  }

  @Test func `a note cannot speak to the terminal`() throws {
    var builder = TraceBuilder()
    builder.malloc(1)
    builder.note = "a\u{1B}[2Jb\n"
    let trace = try Trace(data: builder.data())
    defer { trace.unmap() }
    #expect(trace.header.note == "a?[2Jb?")
  }

  @Test func `a replay uses the slot of a block again where the same thread made and ended it, and no other`() throws {
    var builder = TraceBuilder()
    builder.malloc(100)
    builder.free(1)
    builder.malloc(200)  // in the slot of the first
    builder.realloc(1, 300)  // the same
    builder.thread(1)
    builder.malloc(400)
    builder.free(2)  // the other thread's, which leaves its slot to nobody
    builder.free(1)
    builder.thread(0)
    builder.malloc(500)
    let trace = try Trace(data: builder.data())
    defer { trace.unmap() }
    func slots(serial: Bool) -> [UInt32] {
      let steps = ReplaySteps(trace, serial: serial)
      defer { steps.unmap() }
      var slots: [UInt32] = []
      steps.forEachEvent { event, step in
        let found = steps.steps[step]
        #expect(found.operation == event.operation && found.size == max(1, event.size))
        slots.append(found.slot)
      }
      #expect(
        (0..<trace.events.count).map { index in
          steps.event(of: steps.carriers.count == 1 ? index : [0, 1, 2, 3, 5, 6, 7, 4][index])
        } == (0..<trace.events.count).map { $0 })
      return slots
    }
    #expect(slots(serial: false) == [0, 0, 0, 1, 2, 1, 2, 3])
    #expect(slots(serial: true) == [0, 0, 0, 0, 1, 0, 1, 2])
  }

  @Test(arguments: [false, true])
  func `a replay of many threads finds every block as it was left`(_ serial: Bool) throws {
    for seed in 0..<10 {
      let trace = try Trace(data: TraceBuilder.busy(seed: UInt64(seed)).data())
      defer { trace.unmap() }
      let allocator = FaultyAllocator(fault: .none)
      let result = ReplayChild.measure(ReplaySteps(trace, serial: serial), on: allocator)
      #expect(result.failure == nil, "seed \(seed)")
      #expect(allocator.committedBytes == 1 << 20)
    }
  }

  @Test(arguments: [FaultyAllocator.Fault.losesBlock, .givesTwice, .refuses, .failsValidation])
  func `a replay finds a fault`(_ fault: FaultyAllocator.Fault) throws {
    let trace = try Trace(data: TraceBuilder.busy(seed: 5, events: 40_000).data())
    defer { trace.unmap() }
    #expect(ReplayChild.measure(ReplaySteps(trace, serial: true), on: FaultyAllocator(fault: fault)).failure != nil)
  }

  @Test(arguments: ["cpython", "swiftc", "git-log", "git-repack"])
  func `the traces in the repository are sound, large enough and small enough`(_ name: String) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Traces")
    let file = folder.appendingPathComponent("\(name).katrace").standardizedFileURL.path
    let trace = try Trace(file: file)
    defer { trace.unmap() }
    #expect(trace.header.events >= 100_000)
    #expect(trace.header.fileBytes <= 4 << 20)
    #expect(trace.header.isFinished)
  }
}
