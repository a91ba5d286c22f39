import Glibc

// A replay without an allocator: every block's place is known before it begins, so that what is measured is the replayer's own work
// and the first touch of each page. No allocator can be much below it, and what one is above it is the allocator.
//
// The plan packs as one would to whom bookkeeping costs nothing: a block of less than a page takes the last one of its size that
// was freed, or else stands right behind the last new one; a larger one takes the lowest free pages that hold it. Threads
// are replayed in an order of their own, so a place is used again only by the thread that has freed it.

/// The place of each block of a trace.
struct PlannedPlaces: AllocatorUnderTest {
  /// By step: the offset of the block that is made there, and as the lowest bit whether another block has been there.
  private let places: MappedArray<UInt64>
  private let memory: MappedArray<UInt8>

  init(_ steps: ReplaySteps, blocks: Int) {
    let places = MappedArray<UInt64>(count: steps.steps.count)
    let live = MappedArray<(place: UInt64, size: Int)>(count: blocks)
    defer { live.unmap() }
    var planner = Planner(threads: steps.carriers.count)
    steps.forEachEvent { event, step in
      let thread = Int(event.thread) % steps.carriers.count
      let block = Int(event.block)
      if event.operation == .free {
        planner.give(live[block].place, live[block].size, to: thread)
        return
      }
      let (size, alignment) = Planner.rounded(max(1, event.size), alignment: 1 << Int(event.alignmentShift))
      live[block] = (0, size)
      if event.operation == .reallocate, live[Int(event.previous)].size == size {
        live[block] = live[Int(event.previous)]
      } else {
        if event.operation == .reallocate {
          planner.give(live[Int(event.previous)].place, live[Int(event.previous)].size, to: thread)
        }
        live[block].place = planner.take(size, alignment, for: thread)
      }
      places[step] = live[block].place
    }
    self.places = places
    memory = MappedArray(count: planner.end)
  }

  var name: String { "planned" }

  func place(at step: Int, size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    let place = places.base[step]
    let address = UnsafeMutableRawPointer(memory.base + Int(place & ~1))
    if zeroed, place & 1 != 0 { memset(address, 0, size) }
    return address
  }

  func move(
    _ block: UnsafeMutableRawPointer, at step: Int, size: Int, alignment: Int, newSize: Int
  ) -> ResizedBlock? {
    let address = UnsafeMutableRawPointer(memory.base + Int(places.base[step] & ~1))
    if address != block { memmove(address, block, min(size, newSize)) }
    return ResizedBlock(address: address, size: newSize)
  }

  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) {}

  // Only the trace's blocks have a place.
  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? { nil }
  func reallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int) -> ResizedBlock? { nil }
  func allocatePages(order: Int) -> UnsafeMutableRawPointer? { nil }
  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int) {}
}

/// Makes the plan. Places are offsets, whose lowest bit says that they were used before.
private struct Planner {
  private static var pageBytes: Int { 4096 }
  private static var chunkBytes: Int { 65536 }

  /// The bytes that all places take.
  private(set) var end = 0
  private var threads: [Thread]

  /// What a thread may use.
  private struct Thread {
    /// Blocks of less than a page that it has freed, by size.
    var small: [[Int]] = Array(repeating: [], count: Planner.pageBytes / 16)
    /// What is left of its last chunk for new ones.
    var chunk = 0..<0
    /// Pages that it has freed: ranges in order, none of which touch.
    var pages: [Range<Int>] = []
  }

  init(threads count: Int) { threads = Array(repeating: Thread(), count: max(count, 1)) }

  static func rounded(_ size: Int, alignment: Int) -> (size: Int, alignment: Int) {
    let alignment = max(alignment, 16)
    let unit = max(alignment, size >= pageBytes || alignment >= pageBytes ? pageBytes : 16)
    return ((size + unit - 1) / unit * unit, alignment)
  }

  mutating func take(_ size: Int, _ alignment: Int, for thread: Int) -> UInt64 {
    if size < Self.pageBytes { return takeSmall(size, alignment, for: thread) }
    for (index, range) in threads[thread].pages.enumerated() {
      let first = (range.lowerBound + alignment - 1) / alignment * alignment
      guard first + size <= range.upperBound else { continue }
      let rest = [range.lowerBound..<first, first + size..<range.upperBound].filter { !$0.isEmpty }
      threads[thread].pages.replaceSubrange(index...index, with: rest)
      return UInt64(first) | 1
    }
    end = (end + alignment - 1) / alignment * alignment
    defer { end += size }
    return UInt64(end)
  }

  private mutating func takeSmall(_ size: Int, _ alignment: Int, for thread: Int) -> UInt64 {
    // One of the same size that lies on the boundary: in most traces the last.
    if let index = threads[thread].small[size / 16].lastIndex(where: { $0 % alignment == 0 }) {
      return UInt64(threads[thread].small[size / 16].remove(at: index)) | 1
    }
    var first = (threads[thread].chunk.lowerBound + alignment - 1) / alignment * alignment
    if first + size > threads[thread].chunk.upperBound {
      first = (end + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes
      end = first + Self.chunkBytes
      threads[thread].chunk = first..<end
    }
    threads[thread].chunk = first + size..<threads[thread].chunk.upperBound
    return UInt64(first)
  }

  mutating func give(_ place: UInt64, _ size: Int, to thread: Int) {
    let first = Int(place & ~1)
    if size < Self.pageBytes { return threads[thread].small[size / 16].append(first) }
    var range = first..<first + size
    var index = threads[thread].pages.firstIndex { $0.lowerBound > first } ?? threads[thread].pages.endIndex
    if index < threads[thread].pages.endIndex, threads[thread].pages[index].lowerBound == range.upperBound {
      range = first..<threads[thread].pages.remove(at: index).upperBound
    }
    if index > 0, threads[thread].pages[index - 1].upperBound == first {
      index -= 1
      range = threads[thread].pages.remove(at: index).lowerBound..<range.upperBound
    }
    threads[thread].pages.insert(range, at: index)
  }
}
