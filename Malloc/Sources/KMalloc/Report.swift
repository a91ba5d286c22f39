import CMalloc
import Slab

/// Statistics in words, as JSON and as XML, the blocks still allocated, and the heap's own check.
enum Report {
  @inline(__always)
  private static func with(file: Int32, _ stream: UnsafeMutablePointer<FILE>? = nil, _ body: (inout Text) -> Void) {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
      var text = unsafe Text(buffer, file: file, stream: stream)
      body(&text)
      text.flush()
    }
  }

  /// Calls `body` with the name and the value of each number.
  @inline(__always)
  private static func forEach(_ body: (StaticString, Int) -> Void) {
    let found = Heap.global.statistics()
    body("live_bytes", found.liveBytes)
    body("live_objects", found.liveObjects)
    body("large_blocks", found.largeBlocks)
    body("large_bytes", found.largeBytes)
    body("committed_bytes", found.committedBytes)
    body("peak_committed_bytes", found.peakCommittedBytes)
    body("slabs", found.slabs)
    body("cached_objects", found.cachedObjects)
    body("free_objects", found.freeObjects)
    body("refills", found.refills)
    body("flushes", found.flushes)
    body("depot_takes", found.depotTakes)
    body("depot_puts", found.depotPuts)
    body("aborts", found.aborts)
    body("shared", found.shared)
    body("slabs_made", found.slabsMade)
    body("slabs_ended", found.slabsEnded)
  }

  static func text(file: Int32) {
    unsafe with(file: file) { text in
      text.write("kalloc: statistics of process ")
      text.write(Int(km_process()))
      text.write("\n")
      forEach { name, value in
        text.write("  ")
        text.write(name)
        text.write(" ")
        text.write(value)
        text.write("\n")
      }
    }
  }

  static func json(file: Int32) {
    unsafe with(file: file) { text in
      text.write("{\"pid\":")
      text.write(Int(km_process()))
      forEach { name, value in
        text.write(",\"")
        text.write(name)
        text.write("\":")
        text.write(value)
      }
      text.write("}\n")
    }
  }

  /// The elements that the C library prints, without its arenas; of large blocks as of its mappings, and what the program holds besides.
  @unsafe
  static func xml(_ stream: UnsafeMutablePointer<FILE>) {
    let found = Heap.global.statistics()
    let rest = max(found.committedBytes - found.liveBytes, 0)
    unsafe with(file: -1, stream) { text in
      text.write("<malloc version=\"1\">\n")
      text.element("<total type=\"live\"", count: found.liveObjects, size: found.liveBytes - found.largeBytes)
      text.element("<total type=\"rest\"", count: found.freeObjects + found.cachedObjects, size: rest)
      text.element("<total type=\"mmap\"", count: found.largeBlocks, size: found.largeBytes)
      text.element("<system type=\"current\"", size: found.committedBytes)
      text.element("<system type=\"max\"", size: found.peakCommittedBytes)
      text.element("<aspace type=\"total\"", size: found.committedBytes)
      text.write("</malloc>\n")
    }
  }

  /// Blocks in use, by size: of the C library's own and of the program's globals there are always some.
  static func leaks(file: Int32) {
    releaseHeldBack()
    // Objects in caches are not in use: with empty caches, what a slab lacks is.
    Heap.global.drain()
    unsafe with(file: file) { text in
      text.write("kalloc: blocks still allocated by process ")
      text.write(Int(km_process()))
      text.write("\n")
      // Large blocks come one by one, in the order of their addresses: equal neighbours are one line.
      var last = (size: 0, count: 0)
      Heap.global.forEachLiveSize { size, count in
        if size != last.size {
          text.line(last)
          last = (size, 0)
        }
        last.count += count
      }
      text.line(last)
    }
  }

  static func check(file: Int32) {
    releaseHeldBack()
    // What is freed twice is found on its way from the caches to the slabs: the process ends there.
    Heap.global.drain()
    let fault = Heap.global.validate(during: .cutOff)
    unsafe with(file: file) { text in
      text.write(fault == nil ? "kalloc: the heap is valid\n" : "kalloc: the heap's own words disagree\n")
    }
  }
}

extension Text {
  fileprivate mutating func line(_ blocks: (size: Int, count: Int)) {
    if blocks.count == 0 { return }
    write("  ")
    write(blocks.count)
    write(" of ")
    write(blocks.size)
    write(" bytes\n")
  }

  fileprivate mutating func element(_ start: StaticString, count: Int? = nil, size: Int) {
    write(start)
    if let count {
      write(" count=\"")
      write(count)
      write("\"")
    }
    write(" size=\"")
    write(size)
    write("\"/>\n")
  }
}
