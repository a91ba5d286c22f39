import CStress

// One worker: a source of choices, a table of live blocks, and the only code that calls the allocator under test for the
// scenarios. Every block passes through here, so every block is checked:
//
//   given out    aligned? zero, where asked? overlapping another (ShadowMap)? then stamped
//   given back   content as stamped? granules still ours? then freed
//   moved        content up to the smaller size as stamped; a refusal leaves the block, its content and its granules
//
// A worker may be told to refuse some of its own requests, at random points of its own stream (`refusesOnceIn`): the
// allocator does not see them, the code behind them (boxes, vectors, the scenarios) sees a refusal like any other.
//
// The granules of a block are released *before* the call that gives it back, since another worker may own the memory
// before that call returns. Only the calls themselves are timed.

/// A worker of one scenario. Externally synchronised: the crew hands it to one thread at a time, from phase to phase;
/// hence the unchecked `Sendable`.
final class Worker<Tested: AllocatorUnderTest>: @unchecked Sendable {
  let run: RunContext<Tested>
  let scenario: String
  let index: Int
  var phase = 0
  var random: RandomSource
  var ledger = Ledger()
  var latency = Latency()
  let slots: MappedArray<Block>
  /// One request in this many is refused before it reaches the allocator; 0: none.
  var refusesOnceIn: Int
  private var refusals: RandomSource
  private var serial: UInt64 = 0

  init(run: RunContext<Tested>, scenario: String, stream: Int, index: Int, slots: Int) {
    self.run = run
    self.scenario = scenario
    self.index = index
    self.slots = MappedArray(count: slots)
    let place = UInt64(run.control.round) << 40 | UInt64(stream) << 32 | UInt64(index)
    random = RandomSource(seed: run.options.seed, stream: place)
    refusesOnceIn = run.options.refuse ?? 0
    // Apart from the choices: those stay the same whatever is refused.
    refusals = RandomSource(seed: ~run.options.seed, stream: place)
  }

  deinit { slots.unmap() }

  func fail(_ kind: Failure.Kind, _ what: String) {
    run.fail(kind, what, scenario: scenario, phase: phase, worker: index)
  }

  // MARK: Calls

  /// Whether this request is to be refused on purpose, and then counted as such.
  func refusesOnPurpose() -> Bool {
    guard refusesOnceIn > 0, refusals.once(in: refusesOnceIn) else { return false }
    ledger.refused += 1
    ledger.injected += 1
    tick()
    return true
  }

  func allocate(size: Int, alignment: Int = 16, zeroed: Bool = false) -> Block {
    if refusesOnPurpose() { return .none }
    let start = cs_now()
    let memory = run.allocator.allocate(size: size, alignment: alignment, zeroed: zeroed)
    latency.record(.allocate, cs_now() &- start)
    guard let memory else { return refused("\(size) bytes, alignment \(alignment)") }
    return accept(memory, size: size, alignment: alignment, order: -1, zeroed: zeroed)
  }

  func allocate(_ request: SizeMix.Request) -> Block {
    allocate(size: request.size, alignment: request.alignment, zeroed: request.zeroed)
  }

  func allocatePages(order: Int) -> Block {
    if refusesOnPurpose() { return .none }
    let start = cs_now()
    let memory = run.allocator.allocatePages(order: order)
    latency.record(.allocate, cs_now() &- start)
    guard let memory else { return refused("pages of order \(order)") }
    return accept(memory, size: 4096 << order, alignment: 4096 << order, order: order, zeroed: false)
  }

  func free(_ block: Block) {
    guard verify(block), release(block) else { return }
    let start = cs_now()
    if block.order >= 0 {
      run.allocator.deallocatePages(block.pointer, order: Int(block.order))
    } else {
      run.allocator.deallocate(block.pointer, size: block.size, alignment: Int(block.alignment))
    }
    latency.record(.free, cs_now() &- start)
    ledger.freed += 1
    ledger.bytesFreed += block.size
    tick()
  }

  /// The block after a change of size: moved, or as it was where memory was refused, or none after a failed check.
  func reallocate(_ block: Block, size: Int) -> Block {
    if refusesOnPurpose() { return block }
    guard verify(block), release(block) else { return .none }
    let start = cs_now()
    let resized = run.allocator.reallocate(
      block.pointer, size: block.size, alignment: Int(block.alignment), newSize: size)
    latency.record(.reallocate, cs_now() &- start)
    guard let resized else {
      refused("\(block.size) to \(size) bytes")
      if size <= block.size, run.allocator.shrinkingNeverFails {
        fail(.refusal, "\(block.description): shrinking to \(size) bytes was refused")
      }
      guard claim(block.address, block.size, "refused reallocation"), verify(block) else { return .none }
      return block
    }
    let memory = resized.address
    let kept = min(size, block.size)
    if let wrong = Stamp.firstWrongByte(block.stamp, in: memory, size: kept, whole: kept == block.size) {
      fail(.content, "reallocation of \(block.description) to \(size) bytes at \(memory) lost byte \(wrong)")
      return .none
    }
    ledger.blocksChecked += 1
    ledger.bytesChecked += Stamp.checkedBytes(size: kept)
    ledger.reallocated += 1
    ledger.bytesAllocated += resized.size
    ledger.bytesFreed += block.size
    return stamped(memory, size: resized.size, alignment: Int(block.alignment), order: -1)
  }

  // MARK: Checks

  @discardableResult
  func verify(_ block: Block) -> Bool {
    ledger.blocksChecked += 1
    ledger.bytesChecked += Stamp.checkedBytes(size: block.size)
    guard let wrong = Stamp.firstWrongByte(block.stamp, in: block.pointer, size: block.size) else { return true }
    let found = block.pointer.load(fromByteOffset: wrong, as: UInt8.self)
    fail(.content, "\(block.description): byte \(wrong) changed, now 0x\(String(found, radix: 16))")
    return false
  }

  private func accept(_ memory: UnsafeMutableRawPointer, size: Int, alignment: Int, order: Int, zeroed: Bool) -> Block {
    ledger.allocated += 1
    ledger.bytesAllocated += size
    if Int(bitPattern: memory) & (alignment - 1) != 0 {
      fail(.alignment, "\(size) bytes at \(memory) are not aligned to \(alignment)")
      return .none
    }
    if zeroed {
      ledger.zeroChecks += 1
      if let dirty = firstNonzero(memory, size) {
        fail(.zeroing, "\(size) bytes at \(memory), asked for zeroed: byte \(dirty) is not zero")
        return .none
      }
    }
    return stamped(memory, size: size, alignment: alignment, order: order)
  }

  private func stamped(_ memory: UnsafeMutableRawPointer, size: Int, alignment: Int, order: Int) -> Block {
    let address = UInt(bitPattern: memory)
    guard claim(address, size, "allocation") else { return .none }
    serial &+= 1
    let stamp = Stamp.make(seed: run.options.seed, address: address, size: size, serial: serial << 16 | UInt64(index))
    Stamp.write(stamp, to: memory, size: size)
    if serial & 63 == 0, order < 0, let usable = run.allocator.usableSize(of: memory), usable < size {
      fail(.usableSize, "\(size) bytes at \(memory): the allocator says that \(usable) may be used")
      return .none
    }
    tick()
    return Block(
      address: address, size: size, stamp: stamp, alignment: Int32(truncatingIfNeeded: alignment),
      order: Int16(order), owner: Int16(index))
  }

  func claim(_ address: UInt, _ size: Int, _ why: String) -> Bool {
    ledger.granulesHeld += ShadowMap.granules(address, size)
    guard let taken = run.shadow.claim(address, size) else { return true }
    let place = "\(size) bytes at 0x\(String(address, radix: 16))"
    fail(.overlap, "\(why) of \(place) overlaps a live block at 0x\(String(taken, radix: 16))")
    return false
  }

  private func release(_ block: Block) -> Bool {
    release(block.address, block.size) { block.description }
  }

  func release(_ address: UInt, _ size: Int, _ description: () -> String) -> Bool {
    ledger.granulesHeld -= ShadowMap.granules(address, size)
    guard let missing = run.shadow.release(address, size) else { return true }
    fail(.ownership, "\(description()): not ours any more at 0x\(String(missing, radix: 16))")
    return false
  }

  @discardableResult
  func refused(_ what: String) -> Block {
    ledger.refused += 1
    if !run.control.mayRefuse { fail(.refusal, "\(what): refused, and there is no limit") }
    tick()
    return .none
  }

  func firstNonzero(_ memory: UnsafeRawPointer, _ size: Int) -> Int? {
    var offset = 0
    while offset + 8 <= size, memory.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == 0 { offset += 8 }
    while offset < size, memory.load(fromByteOffset: offset, as: UInt8.self) == 0 { offset += 1 }
    return offset < size ? offset : nil
  }

  @inline(__always)
  func tick() {
    run.control.setProgress(worker: index, ledger.operations)
    run.control.countOnCPU(worker: index)
  }
}
