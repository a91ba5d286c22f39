import CStress
import KAlloc

/// The allocator under test behind the library's own interface, for the typed containers: its blocks are claimed, aligned,
/// counted and timed as all of a worker's are, but hold values of the containers, not stamps.
///
/// Externally synchronised, as its worker is.
struct WorkerAllocator<Tested: AllocatorUnderTest>: Allocator {
  let worker: Worker<Tested>

  static var minAlignment: Int { 16 }
  /// Whole granules.
  static func usableSize(for layout: Layout) -> Int { wholeGranules(layout.size) }
  private static func wholeGranules(_ size: Int) -> Int { (size + 15) & ~15 }

  func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard layout.size > 0 else { return layout.emptyBlock }
    let size = Self.usableSize(for: layout)
    let zeroed = flags.contains(.zero)
    if worker.refusesOnPurpose() { throw .injected }
    let start = cs_now()
    let memory = worker.run.allocator.allocate(size: size, alignment: layout.alignment, zeroed: zeroed)
    worker.latency.record(.allocate, cs_now() &- start)
    guard let memory else {
      worker.refused("\(size) bytes, alignment \(layout.alignment)")
      throw .outOfMemory
    }
    worker.ledger.allocated += 1
    worker.ledger.bytesAllocated += size
    guard Int(bitPattern: memory) & (layout.alignment - 1) == 0 else {
      worker.fail(.alignment, "\(size) bytes at \(memory) are not aligned to \(layout.alignment)")
      throw .outOfMemory
    }
    if zeroed {
      worker.ledger.zeroChecks += 1
      if let dirty = worker.firstNonzero(memory, size) {
        worker.fail(.zeroing, "\(size) bytes at \(memory), asked for zeroed: byte \(dirty) is not zero")
      }
    }
    guard worker.claim(UInt(bitPattern: memory), size, "allocation") else { throw .outOfMemory }
    worker.tick()
    return UnsafeMutableRawBufferPointer(start: memory, count: size)
  }

  func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    guard layout.size > 0 else { return }
    let size = Self.usableSize(for: layout)
    guard worker.release(UInt(bitPattern: block), size, { "value of \(size) bytes at \(block)" }) else { return }
    let start = cs_now()
    worker.run.allocator.deallocate(block, size: size, alignment: layout.alignment)
    worker.latency.record(.free, cs_now() &- start)
    worker.ledger.freed += 1
    worker.ledger.bytesFreed += size
    worker.tick()
  }

  func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard let block, old.size > 0, new.size > 0, old.alignment == new.alignment, !flags.contains(.zero) else {
      return try reallocateByMoving(block, from: old, to: new, flags: flags, node: node)
    }
    if worker.refusesOnPurpose() { throw .injected }
    let (oldSize, newSize) = (Self.usableSize(for: old), Self.usableSize(for: new))
    let address = UInt(bitPattern: block)
    guard worker.release(address, oldSize, { "value of \(oldSize) bytes at \(block)" }) else { throw .outOfMemory }
    let start = cs_now()
    let resized = worker.run.allocator.reallocate(block, size: oldSize, alignment: old.alignment, newSize: newSize)
    worker.latency.record(.reallocate, cs_now() &- start)
    guard let resized else {
      worker.refused("\(oldSize) to \(newSize) bytes")
      _ = worker.claim(address, oldSize, "refused reallocation")
      throw .outOfMemory
    }
    worker.ledger.reallocated += 1
    let (memory, keptSize) = (resized.address, max(newSize, Self.wholeGranules(resized.size)))
    worker.ledger.bytesAllocated += keptSize
    worker.ledger.bytesFreed += oldSize
    guard worker.claim(UInt(bitPattern: memory), keptSize, "reallocation") else { throw .outOfMemory }
    worker.tick()
    return UnsafeMutableRawBufferPointer(start: memory, count: keptSize)
  }
}
