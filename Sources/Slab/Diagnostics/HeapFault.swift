// Invariants that run: what must hold of a heap, checked from its own words.

/// What `Heap.validate` found wrong, and where.
public enum HeapFault: Equatable, Sendable {
  /// The page level's own check.
  case pages(PageFault)
  /// A slab's count of free objects is not the number of bits set, or (cut off) above it.
  case freeCount(address: UInt, count: Int, bits: Int)
  /// A slab's frame has another owner byte than its class.
  case owner(address: UInt, expected: Int, found: Int)
  /// A slab with free objects cannot be found by a refill. Only when nothing is under way.
  case lostSlab(address: UInt)
  /// A cached pointer is no object of its stack's class, or is free in its slab.
  case cachedPointer(address: UInt)
  /// A depot's slot is neither full nor empty, or (cut off) both.
  case depot(stack: Int)
  /// Committed bytes are not those of slabs, runs, direct mappings and pages handed out, or (cut off) less than those of the
  /// first three.
  case committed(counted: Int, found: Int)
}

/// What may be under way in a heap while it is validated.
public enum HeapActivity: Sendable {
  /// Nothing: everybody who used the heap has returned. All invariants are checked, and equalities.
  case none
  /// Nothing moves, but operations were cut off anywhere: in a forked child, or after threads were killed. What they
  /// held is lost, so what is checked is that nothing is counted twice.
  case cutOff
  /// Anything. What is true at every moment is checked.
  case any
}

extension Heap {
  /// Checks every structure of the heap against the others; `nil`: all invariants hold. O(frames ever used).
  ///
  /// Thread-safety: Concurrent with `.any`.
  public func validate(during activity: HeapActivity = .none) -> HeapFault? {
    guard let state = existingState else { return nil }
    for node in 0..<state.nodeCount {
      if let fault = state.validate(NodeIndex(node), activity) { return fault }
    }
    return activity == .any ? nil : state.validateStacks() ?? state.validateCommitted(activity)
  }
}

extension HeapState {
  fileprivate func validate(_ node: NodeIndex, _ activity: HeapActivity) -> HeapFault? {
    if let fault = pages(node).validate(quiescent: activity == .none) { return .pages(fault) }
    if activity == .any { return nil }
    for stack in 0..<StackIndex.withDepot {
      let depot = depot(info(StackIndex(rawValue: stack)), on: node)
      if !(activity == .none ? depot.isWhole : depot.isConsistent) { return .depot(stack: stack) }
    }
    var regions = pages(node).regions
    while let region = regions.next() {
      let table = SlabTable(of: region)
      var fault: HeapFault? = nil
      table.forEachHead { head, word in
        if fault == nil, let sizeClass = word.sizeClass {
          fault = table.validate(head, word, info(StackIndex(sizeClass)).slab, activity)
        }
      }
      if let fault { return fault }
    }
    return nil
  }

  /// Every pointer on a stack is an object of its class that its slab counts as out; on an outgoing one, of its home node.
  fileprivate func validateStacks() -> HeapFault? {
    for index in 0..<regionsUsed {
      let region = region(index)
      // A drain that was cut off has returned some of the pointers, and nobody looks at them again.
      if region.gate.loadRelaxed() != CPURegion.open { continue }
      for stack in 0..<SizeClass.count {
        let info = info(StackIndex(rawValue: stack))
        let array = unsafe WordArray(region.base + info.arrayOffset)
        if let fault = validate(array, count: region.fill(info), info, of: nil) { return fault }
        if let fault = validateOutgoing(info, index) { return fault }
      }
    }
    return nil
  }

  private func validateOutgoing(_ info: StackInfo, _ index: Int) -> HeapFault? {
    guard let region = outgoingRegion(index) else { return nil }
    for node in 0..<nodeCount {
      let home = NodeIndex(node)
      let array = unsafe WordArray(region.base + outgoing.arrayOffset(info.stack, home))
      if let fault = validate(array, count: outgoingFill(region, info.stack, home), info, of: home) { return fault }
    }
    return nil
  }

  private func validate(_ array: WordArray, count: Int, _ info: StackInfo, of home: NodeIndex?) -> HeapFault? {
    for position in 0..<count {
      let address = array[position].loadRelaxed()
      guard let pages = pages(containing: address), isCached(address, info, pages), home == nil || pages.node == home
      else { return .cachedPointer(address: UInt(address)) }
    }
    return nil
  }

  private func isCached(_ address: UInt64, _ info: StackInfo, _ pages: PageRegion) -> Bool {
    let table = SlabTable(of: pages)
    guard let (head, object) = table.place(address, info.slab) else { return isRelabelled(address) }
    return table.bits[table.firstWord(of: head) + object >> 6].loadRelaxed() & (1 << UInt64(object & 63)) == 0
  }

  fileprivate func validateCommitted(_ activity: HeapActivity) -> HeapFault? {
    var found = direct.statistics().bytes
    for node in 0..<nodeCount {
      // A purge that was cut off has taken frames that nobody is charged for: only slabs and runs are counted then.
      let node = NodeIndex(node)
      let frames = activity == .none ? pages(node).statistics().allocatedFrames : headedFrames(node)
      found += frames << Frames.usualShift
    }
    let counted = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    // Bytes are charged before frames are taken, and uncharged after they are given back.
    let fits = activity == .none ? counted == found : counted >= found
    return fits ? nil : .committed(counted: counted, found: found)
  }

  /// The frames of a node's slabs and runs.
  private func headedFrames(_ node: NodeIndex) -> Int {
    var frames = 0
    var regions = pages(node).regions
    while let region = regions.next() {
      SlabTable(of: region).forEachHead { _, word in
        frames += word.sizeClass.map { info(StackIndex($0)).slab.frames } ?? word.runFrames ?? 0
      }
    }
    return frames
  }
}

extension SlabTable {
  /// Calls `body` for every frame that heads a slab or a run, in blocks that were ever used.
  @inline(__always)
  func forEachHead(_ body: (FrameIndex, SlabWord) -> Void) {
    for block in 0..<pages.high where pages.state(block).isPresent {
      for frame in block * Frames.perBlock..<(block + 1) * Frames.perBlock {
        let word = SlabWord(bits: words[frame].loadRelaxed())
        if word != .none && word != .endedRun { body(FrameIndex(frame), word) }
      }
    }
  }

  fileprivate func validate(
    _ head: FrameIndex, _ word: SlabWord, _ geometry: SlabGeometry, _ activity: HeapActivity
  ) -> HeapFault? {
    let address = UInt(pages.addressBits(of: head))
    var free = 0
    for index in 0..<geometry.words {
      let bits = bits[firstWord(of: head) + index].loadRelaxed()
      if bits & ~geometry.freshWord(index) != 0 { return .freeCount(address: address, count: word.free, bits: -1) }
      free += bits.nonzeroBitCount
    }
    // Bits are cleared after the count was lowered, and set before it is raised.
    if activity == .none ? free != word.free : free < word.free {
      return .freeCount(address: address, count: word.free, bits: free)
    }
    for frame in head.rawValue..<head.rawValue + geometry.frames {
      let owner = Int(owners[frame].loadRelaxed())
      if owner != geometry.sizeClass.index + 1 {
        return .owner(address: address, expected: geometry.sizeClass.index + 1, found: owner)
      }
    }
    if activity == .none && free > 0 && candidate(geometry.sizeClass, from: head) != head {
      return .lostSlab(address: address)
    }
    return nil
  }
}
