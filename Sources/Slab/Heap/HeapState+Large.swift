// Blocks that no size class serves: runs of frames, and above 1 GiB mappings of their own.
//
// The head frame of a run has an owner byte that says so and a word with the length, so that a block is known from its
// address. Frames behind the head have owner 0: an address inside a run is foreign to `deallocate`.
//
// Up to 1 MiB a run has one of the lengths of `RunClass`, and where it is freed goes on a stack of the CPU, as an object
// does; its word and its owner byte stay. The next allocation of that length takes it from there. There is no depot: what a
// stack has no room for, and what a drain finds on it, goes back to the page level.
//
// A run grows and shrinks in place where the frames behind it are free; a mapping does by mremap.
//
// Ordering: the head's word and owner byte are written by the thread that owns the run and read by whoever the program
// handed the block to, so the program's own synchronisation orders them; the word is also the double-free check, by
// exchange.

import KAllocAtomics

extension HeapState {
  var direct: DirectMappings { unsafe DirectMappings(record.pointee.direct) }

  /// Whole frames for `size` bytes. `size` is at most `Int.max` - 4095.
  static func frames(_ size: Int) -> Int { (size &+ Frames.bytes &- 1) &>> Frames.usualShift }

  /// The largest block that a heap may serve, in bytes: what x86-64 has of addresses for a process, and less than AArch64.
  static var largestBytes: Int { 1 << 47 }
  /// The largest alignment that a heap may serve, in bytes.
  static var largestAlignment: Int { 1 << 46 }

  /// The bytes that a block of `size` really has; `nil`: no heap serves it.
  static func largeUsableSize(_ size: Int) -> Int? {
    guard size > 0, size <= largestBytes else { return nil }
    let frames = frames(size)
    return (RunClass(holding: frames)?.frames ?? frames) &<< Frames.usualShift
  }

  /// A large block on the stack of this thread; `nil`: none of that length lies there, or the heap is not in `thread` mode.
  func runOfThread(_ bytes: Int) -> UInt64? {
    guard mode == .thread, let runClass = RunClass(exactly: bytes >> Frames.usualShift),
      let run = LocalCache(self)?.pop(CPURegion.offset(StackIndex(runClass))), run != 0
    else { return nil }
    return run
  }

  /// Why this heap cannot serve such a block whatever is freed, so that nothing need be reclaimed for it; `nil`: it can.
  ///
  /// `bytes` is what `largeUsableSize` says, `alignment` a power of two.
  func refusal(bytes: Int, alignment: Int) -> AllocError? {
    if alignment > HeapState.largestAlignment { return .unsupportedAlignment }
    // What no window holds is mapped directly.
    if !growsByOS, let refusal = refusal(run: bytes >> Frames.usualShift, alignment: alignment) { return refusal }
    return UInt64(truncatingIfNeeded: bytes) > control(.limit).loadRelaxed() ? .limitExceeded : nil
  }

  /// Why no region has such a run of frames, free or not; `nil`: one has.
  func refusal(run frames: Int, alignment: Int) -> AllocError? {
    var isLongEnough = false
    for node in 0..<nodeCount {
      var regions = pages(NodeIndex(node)).regions
      while let region = regions.next() {
        if region.couldHold(frames: frames, alignment: max(alignment >> Frames.usualShift, 1)) { return nil }
        if region.frameCount >= frames { isLongEnough = true }
      }
    }
    return isLongEnough ? .unsupportedAlignment : .sizeTooLarge
  }

  /// The size from which a block that no window has room for is mapped directly: none that a stack takes, so that its table
  /// lasts.
  static var directFallbackBytes: Int { RunClass.maximumBytes + 1 }

  /// A block of whole frames.
  struct LargeBlock {
    let address: UInt64
    let bytes: Int
    /// Whether its bytes are known to be zero.
    let clean: Bool
  }

  /// A block that no size class serves, of `bytes`, as `largeUsableSize` says.
  func allocateLarge(
    _ bytes: Int, alignment: Int, flags: AllocFlags, node: NodeIndex
  ) -> Result<LargeBlock, AllocError> {
    if growsByOS && (bytes > DirectMappings.threshold || alignment > windowBytes) {
      return mapDirectly(bytes, alignment: alignment, flags: flags, node: node)
    }
    let frames = bytes >> Frames.usualShift
    let alignFrames = max(alignment >> Frames.usualShift, 1)
    switch takeRun(frames: frames, alignment: alignFrames, flags: flags, from: node) {
    case .failure(let error):
      // A window without a run as long still leaves the rest of the address space.
      guard error != .limitExceeded, growsByOS, bytes >= HeapState.directFallbackBytes else { return .failure(error) }
      let mapped = mapDirectly(bytes, alignment: alignment, flags: flags, node: node)
      if case .failure(.outOfMemory) = mapped { return .failure(error) }
      return mapped
    case .success(let run):
      let clean = run.pages.isClean(run.first, frames: frames)
      begin(SlabTable(of: run.pages), run.first, frames: frames)
      return .success(LargeBlock(address: run.pages.addressBits(of: run.first), bytes: bytes, clean: clean))
    }
  }

  /// Writes that a run of `frames` begins at `head`, and answers to its own length.
  private func begin(_ table: SlabTable, _ head: FrameIndex, frames: Int) {
    table.words[head.rawValue].storeRelaxed(SlabWord(runOf: frames).bits)
    table.bits[table.firstLabel(of: head, frames: 1)].storeRelaxed(0)
    table.owners[head.rawValue].storeRelaxed(SlabTable.Owner.run(of: frames))
  }

  /// The large block at `address` goes on no stack when it is freed.
  func keepOffStacks(_ address: UInt64) {
    guard let (table, head) = runHead(address) else { return }
    table.owners[head.rawValue].storeRelaxed(UInt8(KA_OWNER_RUN))
  }

  /// A mapping of its own. Of the machine's nodes it is bound to `node`, strictly where `flags` say `thisNode`; simulated
  /// ones are a name.
  private func mapDirectly(
    _ bytes: Int, alignment: Int, flags: AllocFlags, node: NodeIndex
  ) -> Result<LargeBlock, AllocError> {
    guard let slot = direct.claim() else { return .failure(.outOfMemory) }
    guard charge(bytes) else {
      direct.publish(slot, 0, bytes: 0)
      return .failure(.limitExceeded)
    }
    guard let block = unsafe ka_os_map(bytes, max(alignment, Frames.bytes)) else {
      uncharge(bytes)
      direct.publish(slot, 0, bytes: 0)
      return .failure(.outOfMemory)
    }
    let isStrict = flags.contains(.thisNode) && nodeCount > 1
    if topology.isReal, unsafe !ka_os_bind(block, bytes, UInt32(node.rawValue), isStrict), isStrict {
      unsafe ka_os_unmap(block, bytes)
      uncharge(bytes)
      direct.publish(slot, 0, bytes: 0)
      return .failure(.nodeUnavailable)
    }
    unsafe ka_os_blocks_begin(block, bytes)
    let address = UInt64(UInt(bitPattern: block))
    direct.publish(slot, address, bytes: bytes, node: node)
    return .success(LargeBlock(address: address, bytes: bytes, clean: true))
  }

  /// The bytes of the large block at `address`; `nil`: no large block begins there.
  func largeSize(of address: UInt64) -> Int? {
    guard let (table, head) = runHead(address) else { return growsByOS ? direct.find(address) : nil }
    return SlabWord(bits: table.words[head.rawValue].loadRelaxed()).runFrames.map { $0 << Frames.usualShift }
  }

  /// Whether a large run that was freed began at `address`, and nothing has begun there since.
  func isEndedRun(_ address: UInt64) -> Bool {
    guard let region = pages(containing: address),
      let frame = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped),
      region.addressBits(of: frame) == address
    else { return false }
    let table = SlabTable(of: region)
    return table.owners[frame.rawValue].loadRelaxed() == SlabTable.Owner.none
      && table.words[frame.rawValue].loadRelaxed() == SlabWord.endedRun.bits
  }

  private func runHead(_ address: UInt64) -> (SlabTable, FrameIndex)? {
    guard let region = pages(containing: address),
      let head = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
    else { return nil }
    let table = SlabTable(of: region)
    guard SlabTable.Owner.isRun(table.owners[head.rawValue].loadRelaxed()),
      region.addressBits(of: head) == address
    else { return nil }
    return (table, head)
  }

  /// Frees the large block at `address`, onto the caller's stack where one takes it; `doubleFree` where it lies on top of that
  /// already. Traps where there is none.
  func deallocateLarge(_ address: UInt64) -> BlockFault? {
    if let stack = runStack(of: address) {
      if isOnTop(address, info(stack)) { return .doubleFree }
      deallocateSlow(stack, address)
    } else {
      purgeInPassing(returnLarge(address))
    }
    return nil
  }

  /// The stack that takes the large block at `address`; `nil`: none does, as of mappings, or no run begins there.
  func runStack(of address: UInt64) -> StackIndex? {
    guard let (table, head) = runHead(address) else { return nil }
    let owner = Int(table.owners[head.rawValue].loadRelaxed())
    return owner == Int(KA_OWNER_RUN) ? nil : StackIndex(rawValue: owner &- 1)
  }

  /// Gives the large block at `address` back to the page level, or unmaps it. Traps where there is none. Returns where frames are free
  /// now; `nil`: it was a mapping.
  func returnLarge(_ address: UInt64) -> PageRegion? {
    guard let (table, head) = runHead(address) else {
      guard growsByOS, let (slot, bytes) = direct.take(address) else {
        (isEndedRun(address) ? Misuse.doubleFree : Misuse.foreignFree).trap(at: address)
      }
      let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
      unsafe ka_os_blocks_end(block, bytes)
      unsafe ka_os_unmap(block, bytes)
      direct.publish(slot, 0, bytes: 0)
      uncharge(bytes)
      return nil
    }
    let word = SlabWord(bits: table.words[head.rawValue].exchangeRelaxed(SlabWord.endedRun.bits))
    guard let frames = word.runFrames else { Misuse.doubleFree.trap(at: address) }
    table.owners[head.rawValue].storeRelaxed(SlabTable.Owner.none)
    giveRun(table.pages, head, frames: frames)
    return table.pages
  }

  /// Resizes the large block at `address` in place, or by mremap. `nil`: impossible, and the block is as it was.
  ///
  /// Returns the address and the bytes that the block now has.
  func resizeLarge(
    _ address: UInt64, to size: Int, alignment: Int, flags: AllocFlags
  ) -> (address: UInt64, bytes: Int)? {
    guard let bytes = HeapState.largeUsableSize(size) else { return nil }
    guard let (table, head) = runHead(address) else { return remapDirectly(address, to: bytes, alignment: alignment) }
    let word = SlabWord(bits: table.words[head.rawValue].loadRelaxed())
    guard let frames = word.runFrames else { Misuse.doubleFree.trap(at: address) }
    let wanted = bytes >> Frames.usualShift
    if wanted > frames {
      let more = wanted - frames
      guard bytes <= DirectMappings.threshold || !growsByOS, charge(more << Frames.usualShift) else { return nil }
      guard table.pages.extend(head, frames: frames, by: more, flags: flags) else {
        uncharge(more << Frames.usualShift)
        return nil
      }
      begin(table, head, frames: wanted)
    } else if wanted < frames {
      begin(table, head, frames: wanted)
      giveRun(table.pages, head.advanced(by: wanted), frames: frames - wanted)
      purgeInPassing(table.pages)
    }
    return (address, bytes)
  }

  private func remapDirectly(_ address: UInt64, to bytes: Int, alignment: Int) -> (address: UInt64, bytes: Int)? {
    guard growsByOS, let found = direct.find(address) else { return nil }
    if found == bytes { return (address, bytes) }
    // From above 1 GiB to below it becomes a run; what was mapped because no window had room stays mapped.
    let smallest = found > DirectMappings.threshold ? DirectMappings.threshold + 1 : HeapState.directFallbackBytes
    guard bytes >= smallest, let (slot, old) = direct.take(address) else { return nil }
    let node = direct.node(of: slot)
    if bytes > old && !charge(bytes - old) {
      direct.publish(slot, address, bytes: old, node: node)
      return nil
    }
    // A move keeps page alignment only.
    let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
    let moved = unsafe ka_os_remap(block, old, bytes, alignment <= Frames.bytes)
    guard let moved = unsafe moved else {
      if bytes > old { uncharge(bytes - old) }
      direct.publish(slot, address, bytes: old, node: node)
      return nil
    }
    unsafe ka_os_blocks_begin(moved, bytes)
    unsafe ka_os_blocks_end(block, old)
    if bytes < old { uncharge(old - bytes) }
    direct.publish(slot, UInt64(UInt(bitPattern: moved)), bytes: bytes, node: node)
    return (UInt64(UInt(bitPattern: moved)), bytes)
  }
}
