// Where the depot's magazines are filled from and emptied to: slabs for objects, rows of frames for pages.

extension HeapState {
  /// Fills `target` with up to `limit` objects or pages, from `node` or, unless `flags` say `thisNode`, the nearest
  /// that has some. At least one, or the reason why not.
  ///
  /// > Safety: `target` has room for `limit` addresses and is the caller's alone.
  @unsafe
  func fill(
    _ info: StackInfo, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>, flags: AllocFlags, node: NodeIndex
  ) -> Result<Int, AllocError> {
    guard let sizeClass = info.stack.sizeClass else {
      return unsafe fillPages(info, upTo: limit, into: target, flags: flags, node: node)
    }
    var failure = AllocError.outOfMemory
    let ranks = flags.contains(.thisNode) ? 1 : nodeCount
    for rank in 0..<ranks {
      let source = self.node(rank, from: node)
      if let count = unsafe takeObjects(sizeClass, upTo: limit, into: target, node: source) { return .success(count) }
      let made = unsafe makeSlab(info, upTo: limit, into: target, flags: flags.union(.thisNode), node: source)
      guard case .failure(let reason) = made else { return made }
      failure = reason
    }
    // A thread that was stopped between clearing a hint and looking again has hidden a slab: none is, once all were looked at.
    for rank in 0..<ranks {
      let source = self.node(rank, from: node)
      if rehint(sizeClass, on: source),
        let count = unsafe takeObjects(sizeClass, upTo: limit, into: target, node: source)
      {
        return .success(count)
      }
    }
    return .failure(failure == .nodeUnavailable && !flags.contains(.thisNode) ? .outOfMemory : failure)
  }

  /// Objects from the slabs of one node that have some free.
  @unsafe
  private func takeObjects(
    _ sizeClass: SizeClass, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>, node: NodeIndex
  ) -> Int? {
    var count = 0
    var regions = pages(node).regions
    while count < limit, let region = regions.next() {
      unsafe count &+= SlabTable(of: region).take(sizeClass, upTo: limit &- count, into: target + count)
    }
    if count == 0 { return nil }
    self.count(.slabRefills, on: node)
    self.count(.slabObjectsTaken, on: node, count)
    return count
  }

  /// Sets the hints of all slabs of a node that have free objects. Returns whether there is one.
  private func rehint(_ sizeClass: SizeClass, on node: NodeIndex) -> Bool {
    var found = false
    var regions = pages(node).regions
    while let region = regions.next() {
      if SlabTable(of: region).rehint(sizeClass) { found = true }
    }
    return found
  }

  /// The first objects of a new slab.
  @unsafe
  private func makeSlab(
    _ info: StackInfo, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>, flags: AllocFlags, node: NodeIndex
  ) -> Result<Int, AllocError> {
    let frames = info.slab.frames
    if flags.contains(.reclaim) {
      collectInGrowth()
      purgeSlabsInCutting(frames &* Frames.bytes)
    }
    switch takeRun(frames: frames, alignment: frames, flags: flags, from: node) {
    case .failure(let error): return .failure(error)
    case .success(let run):
      count(.slabsMade, on: node)
      let taken = unsafe SlabTable(of: run.pages).create(info.slab.sizeClass, at: run.first, upTo: limit, into: target)
      count(.slabObjectsTaken, on: node, taken)
      return .success(taken)
    }
  }

  /// Pages, a row at a time: what the first row leaves to be had is of its own node. At least one, or the reason why not.
  @unsafe
  private func fillPages(
    _ info: StackInfo, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>, flags: AllocFlags, node: NodeIndex
  ) -> Result<Int, AllocError> {
    var count = 0
    var flags = flags
    while count < limit {
      switch unsafe fillPagesOfRow(info, upTo: limit &- count, into: target + count, flags: flags, node: node) {
      case .success(let taken): count &+= taken
      case .failure where count > 0: return .success(count)
      // Near the limit a single page may still fit.
      case .failure(.limitExceeded) where limit > 1:
        return unsafe fillPagesOfRow(info, upTo: 1, into: target, flags: flags, node: node)
      case .failure(let error): return .failure(error)
      }
      flags.formUnion(.thisNode)
    }
    return .success(count)
  }

  @unsafe
  private func fillPagesOfRow(
    _ info: StackInfo, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>, flags: AllocFlags, node: NodeIndex
  ) -> Result<Int, AllocError> {
    let order = Order(info.stack.pageOrder)
    let wanted = min(limit &* order.frames, Frames.perRow)
    guard charge(wanted &* Frames.bytes) else { return .failure(.limitExceeded) }
    let ranks = flags.contains(.thisNode) ? 1 : nodeCount
    for rank in 0..<ranks {
      guard let (pages, run) = pages(self.node(rank, from: node)).claimRow(upTo: wanted, order: order, flags: flags)
      else { continue }
      uncharge((wanted &- run.frames) &* Frames.bytes)
      var rest = run.mask
      var count = 0
      while rest != 0 {
        let first = run.first.advanced(by: rest.trailingZeroBitCount)
        rest &= ~(Row.mask(order.frames) &<< UInt64(rest.trailingZeroBitCount))
        // Relaxed: who is given the pages is after this, as who is given an object is.
        SlabTable(of: pages).owners[first.rawValue].storeRelaxed(StackIndex.owner(ofPages: order.rawValue))
        unsafe target[count] = pages.addressBits(of: first)
        count &+= 1
      }
      return .success(count)
    }
    uncharge(wanted &* Frames.bytes)
    return .failure(flags.contains(.thisNode) && nodeCount > 1 ? .nodeUnavailable : .outOfMemory)
  }

  // MARK: Back

  /// Returns `count` objects, pages or large blocks to where they came from. Traps where one is no object of the stack's, or is free.
  ///
  /// Addresses of the same bitmap word are gathered first, in a small table, so that a word costs two locked
  /// instructions however many of its objects come back. O(count).
  ///
  /// > Safety: `source` holds `count` addresses and is the caller's alone.
  @unsafe
  func spill(_ info: StackInfo, _ source: UnsafeMutablePointer<UInt64>, count: Int) {
    purgeInPassing(unsafe giveBack(info, source, count: count))
  }

  /// The same without a look at what might go to the operating system. Returns where frames are free now; `nil`: nowhere.
  ///
  /// > Safety: as for `spill`.
  @unsafe @inline(never)
  func giveBack(_ info: StackInfo, _ source: UnsafeMutablePointer<UInt64>, count: Int) -> PageRegion? {
    if let runClass = info.stack.runClass { return unsafe giveBackRuns(runClass, source, count: count) }
    var table = PendingWords(repeating: .none)
    var freed: PageRegion? = nil
    var last: PageRegion? = nil
    var places = 0
    for index in 0..<count {
      let address = unsafe source[index]
      let region: PageRegion
      if let last, unsafe last.contains(UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped) {
        region = last
      } else {
        if let last, returnAll(&table, info, last, &places) { freed = last }
        guard let found = pages(containing: address) else { Misuse.foreignFree.trap(at: address) }
        region = found
        last = found
      }
      guard let place = place(of: address, info, region) else {
        if returnRelabelled(address) { continue }
        if info.stack.sizeClass == nil { trapPages(address, of: region) }
        Misuse.foreignFree.trap(at: address)
      }
      places &+= 1
      let slot = place.key & (table.count &- 1)
      let pending = table[slot]
      if pending.key == place.key {
        if pending.mask & place.mask != 0 { Misuse.doubleFree.trap(at: address) }
        table[slot].mask |= place.mask
      } else {
        if returnWord(pending, info, region) { freed = region }
        table[slot] = place
      }
    }
    if let last, returnAll(&table, info, last, &places) { freed = last }
    return freed
  }

  @unsafe
  private func giveBackRuns(
    _ runClass: RunClass, _ source: UnsafeMutablePointer<UInt64>, count: Int
  ) -> PageRegion? {
    var freed: PageRegion? = nil
    for index in 0..<count {
      let address = unsafe source[index]
      if let bytes = largeSize(of: address), bytes != runClass.frames &<< Frames.usualShift {
        Misuse.wrongLayout.trap(at: address)
      }
      freed = returnLarge(address) ?? freed
    }
    return freed
  }

  /// Bits of one word that are to be set or cleared together. For objects the key is the index of a word in the
  /// region's bitmap, for pages the index of a row.
  struct PendingWord {
    var key: Int
    var mask: UInt64

    static var none: PendingWord { PendingWord(key: -1, mask: 0) }
  }

  /// By the low bits of the key; on the stack.
  typealias PendingWords = InlineArray<32, PendingWord>

  @inline(__always)
  private func place(of address: UInt64, _ info: StackInfo, _ region: PageRegion) -> PendingWord? {
    if info.stack.sizeClass != nil {
      let table = SlabTable(of: region)
      guard let (head, object) = table.place(address, info.slab) else { return nil }
      return PendingWord(key: table.firstWord(of: head) &+ object &>> 6, mask: 1 &<< UInt64(object & 63))
    }
    guard arePages(address, order: info.stack.pageOrder, of: region),
      let frame = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
    else { return nil }
    let mask = Row.mask(Order(info.stack.pageOrder).frames)
    return PendingWord(key: frame.rawValue &>> 6, mask: mask &<< UInt64(frame.rawValue & 63))
  }

  /// How many of the first `count` addresses are objects or pages of `region` that `info`'s stack may hold and that are not
  /// free, up to the first that is not.
  ///
  /// > Safety: `addresses` holds `count` addresses.
  @unsafe @inline(__always)
  func objects(
    in addresses: UnsafeMutablePointer<UInt64>, count: Int, _ info: StackInfo, _ region: PageRegion
  ) -> Int {
    if info.stack.sizeClass != nil {
      return unsafe SlabTable(of: region).objects(in: addresses, count: count, info.slab)
    }
    for index in 0..<count
    where unsafe !arePages(addresses[index], order: info.stack.pageOrder, of: region) { return index }
    return count
  }

  /// Whether pages of `order` that somebody has begin at `address`.
  func arePages(_ address: UInt64, order: Int, of region: PageRegion) -> Bool {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: UInt(address)), let frame = unsafe region.frame(of: pointer)
    else { return false }
    // Relaxed: the pages are out, so their owner byte does not change.
    return address & UInt64(Frames.bytes << order &- 1) == 0
      && SlabTable(of: region).owners[frame.rawValue].loadRelaxed() == StackIndex.owner(ofPages: order)
  }

  /// Ends the process for an address at which no pages begin that could be freed: the frame there is free, or something else's.
  func trapPages(_ address: UInt64, of region: PageRegion) -> Never {
    guard let frame = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped) else {
      Misuse.foreignFree.trap(at: address)
    }
    let isFree = region.row(frame.rawValue / Frames.perRow).bits &>> UInt64(frame.rawValue & 63) & 1 == 0
    (isFree ? Misuse.doubleFree : Misuse.foreignFree).trap(at: address)
  }

  /// Whether frames are free now.
  private func returnWord(_ pending: PendingWord, _ info: StackInfo, _ region: PageRegion) -> Bool {
    if pending.mask == 0 { return false }
    if info.stack.sizeClass != nil {
      let table = SlabTable(of: region)
      let frame = FrameIndex(pending.key / SlabTable.bitWordsPerFrame)
      let head = table.head(of: frame, info.slab)
      let hasEnded = table.give(pending.mask, word: pending.key &- table.firstWord(of: head), of: head, info.slab)
      if hasEnded { ended(info.slab, on: region) }
      return hasEnded
    } else {
      let first = FrameIndex(pending.key &<< 6)
      disown(pending.mask, from: first, Order(info.stack.pageOrder), of: region)
      if !region.freeRow(first, pending.mask) {
        Misuse.doubleFree.trap(at: region.addressBits(of: first))
      }
      uncharge(frames: pending.mask.nonzeroBitCount)
      return true
    }
  }

  /// Clears the owner bytes of pages in a row, before their frames are free.
  private func disown(_ mask: UInt64, from row: FrameIndex, _ order: Order, of region: PageRegion) {
    var rest = mask
    while rest != 0 {
      let first = rest.trailingZeroBitCount
      rest &= ~(Row.mask(order.frames) &<< UInt64(first))
      // Relaxed: freeing the frames publishes it.
      SlabTable(of: region).owners[row.rawValue &+ first].storeRelaxed(SlabTable.Owner.none)
    }
  }

  /// Returns what the table has of `region`, and counts the `places` there that were gathered since the last time, in one step.
  private func returnAll(
    _ table: inout PendingWords, _ info: StackInfo, _ region: PageRegion, _ places: inout Int
  ) -> Bool {
    if info.stack.sizeClass != nil { count(.slabObjectsGiven, on: region.node, places) }
    places = 0
    var freed = false
    for slot in table.indices {
      if returnWord(table[slot], info, region) { freed = true }
      table[slot] = .none
    }
    return freed
  }

  /// A slab has given its frames back.
  func ended(_ geometry: SlabGeometry, on region: PageRegion) {
    count(.slabsEnded, on: region.node)
    uncharge(frames: geometry.frames)
  }
}
