import Glibc
import KAlloc
import KBoxed
import Slab

// Whole heaps, what must be refused, and the interface of KAlloc and KBoxed.

extension Interpreter {
  mutating func reclaim(_ tested: TestedHeap) {
    let choice = input.byte()
    switch choice < 240 ? choice % 3 : 3 {
    case 3:
      _ = tested.heap.drainIdle()
      require(tested.heap.drainIdle(), "two calls of drainIdle, and the second finds a heap that is not idle")
    case 0: require(tested.heap.trim() >= 0, "trim released a negative number of bytes")
    case 1: tested.heap.drain()
    default:
      let most = input.word() << 10
      let released = tested.heap.purge(upTo: most, olderThan: input.below(2))
      require((0...max(most, 2 << 20)).contains(released), "purge(upTo: \(most)) released \(released) bytes")
    }
  }

  /// Another range of memory for a heap; of the global heap nothing could be taken back.
  mutating func addMemory(_ index: Int, _ tested: TestedHeap) {
    let node = NodeIndex(input.below(5))
    guard index > 0, tested.added.count < 2 else {
      let isNew = try? Heap.startGlobal(HeapConfiguration())
      return require(isNew == false, "the global heap is begun twice")
    }
    let memory = pages(Self.addedBytes)
    trace("addRegion \(memory) to node \(node.rawValue)")
    do {
      let tooFew = input.below(4) == 0
      try tested.heap.addRegion(.init(memory, bytes: tooFew ? input.below(4096) : Self.addedBytes), node: node)
      require(!tooFew, "a range without a frame is taken")
      require(
        node.rawValue < tested.heap.topology.nodeCount, "node \(node.rawValue) is given memory, and does not exist")
      heaps[index]!.added.append(memory)
    } catch {
      munmap(memory, Self.addedBytes)
      let isNode = node.rawValue >= tested.heap.topology.nodeCount
      require(isNode ? error == .nodeUnavailable : true, "addRegion: \(error)")
    }
  }

  mutating func setLimit(_ index: Int, _ tested: TestedHeap) {
    let (choice, distance) = (input.below(4), input.word() << 6)
    let committed = tested.heap.committedBytes
    let limit = [committed - distance, committed + distance >> 6, committed + distance, Int.max][choice]
    trace("limit \(limit), \(committed) committed")
    tested.heap.limit = limit
    require(tested.heap.limit == max(limit, 0), "the limit is \(tested.heap.limit), not \(limit)")
    heaps[index]!.isLimited = limit != .max
  }

  mutating func inspect(_ index: Int, _ tested: TestedHeap) {
    requireSound(tested.heap, "meanwhile")
    let mine = oracle.blocks.filter { $0.heap == index }
    for block in mine {
      block.check("at a look")
      requireKnown(block, "at a look")
    }
    let statistics = tested.heap.statistics()
    let objects = mine.count { $0.order == nil && SizeClass(size: $0.usable, alignment: 1)?.bytes == $0.usable }
    // Whole frames may be a run, for the sake of an alignment that was asked for once.
    let mayBeRun = mine.contains { $0.alignment > 4096 || $0.isUnsized && $0.usable % 4096 == 0 }
    require(
      tested.hasRelabelled || mayBeRun || statistics.liveObjects == objects,
      "\(statistics.liveObjects) objects are live in the statistics, \(objects) here")
    let bytes = mine.reduce(0) { $0 + $1.usable }
    requireLiveSizes(tested, mine)
    require(tested.heap.mode != nil, "a heap without a mode")
    for cache in 0..<tested.heap.cacheCount {
      let found = tested.heap.cacheStatistics(cache)
      require(found.misses >= 0 && found.refills >= 0 && found.flushes >= 0, "cache \(cache) counts below zero")
    }
    require(statistics.committedBytes >= bytes, "\(bytes) bytes live, \(statistics.committedBytes) committed")
  }

  /// Every size that blocks of bytes are in use of, after the caches were emptied.
  private func requireLiveSizes(_ tested: TestedHeap, _ mine: [Live]) {
    if tested.hasRelabelled { return }
    tested.heap.drain()
    var found: [Int: Int] = [:]
    tested.heap.forEachLiveSize { found[$0, default: 0] += $1 }
    for (size, count) in found {
      let known = mine.count { $0.usable == size && $0.order == nil }
      require(count >= known, "\(count) blocks of \(size) bytes live, \(known) here")
    }
    for block in mine where block.order == nil {
      require(found[block.usable] != nil, "forEachLiveSize does not know \(block)")
    }
  }

  /// What no allocator can serve: always refused, with the right error, and nothing changes.
  mutating func refuseOddities(_ tested: TestedHeap) {
    let (size, alignment) = (input.oddSize(), input.oddAlignment())
    let what = "allocate(\(size), \(alignment))"
    let before = tested.heap.committedBytes
    do {
      let block = try tested.heap.allocate(size: size, alignment: alignment, flags: [], node: nil)
      // Untouched memory costs address space only: two terabytes of it may be had.
      require(size == 1 << 41 && block.count >= size, "\(what) is served")
      tested.heap.deallocate(block.baseAddress!, size: size, alignment: alignment)
    } catch {
      let isPower = alignment > 0 && alignment & (alignment - 1) == 0
      let expected: [AllocError] =
        size <= 0
        ? [.invalidLayout]
        : !isPower ? [.unsupportedAlignment] : [.sizeTooLarge, .outOfMemory, .limitExceeded, .unsupportedAlignment]
      require(expected.contains(error), "\(what): \(error), not one of \(expected)")
    }
    if size <= 0 || !(alignment > 0 && alignment & (alignment - 1) == 0) {
      require(tested.heap.allocate(size: size, alignment: alignment) == nil, "\(what) is served without an error")
      require((try? Layout(size: size, alignment: alignment)) == nil || size == 0, "\(what): there is such a layout")
    }
    let order = [-1, 41, Int.max, 40][input.below(4)]
    require((try? tested.heap.allocatePages(order: order, flags: [])) == nil, "pages of order \(order) are served")
    require(tested.heap.committedBytes <= before, "\(what): refused, and more is committed")
  }

  // MARK: KAlloc

  mutating func allocateByLayout(_ index: Int, _ tested: TestedHeap) {
    let (flags, size, alignment) = (flags(), size(), input.alignment())
    guard let layout = try? Layout(size: size, alignment: alignment) else { fail("no layout of \(size), \(alignment)") }
    let what = "allocate(Layout(\(size), \(alignment)), \(flags.rawValue))"
    trace(what)
    do {
      let block =
        index == 0
        ? try Kmalloc().allocate(layout, flags: flags, node: .any)
        : try tested.heap.allocate(layout, flags: flags, node: .any)
      require(block.count == Heap.usableSize(for: layout), "\(what): \(block.count) bytes usable")
      if flags.contains(.zero) { requireZero(block.baseAddress!, 0..<block.count, what) }
      add(block.baseAddress!, block.count, size, alignment, index, what)
    } catch {
      requireMayRefuse(error, tested, flags, what)
    }
  }

  /// To a layout, in place or not; one in eight to no bytes, which frees.
  mutating func reallocateByLayout() {
    let (flags, choice, newSize, newAlignment) = (flags(), input.below(8), size(), input.alignment())
    guard let index = pick(where: { $0.order == nil && !$0.isUnsized && !$0.isRelabelled }) else { return }
    let old = oracle.remove(index, "reallocate by layout")
    let tested = heaps[old.heap]!
    let size = choice == 0 ? 0 : newSize
    let what = "reallocate(\(old), to Layout(\(size), \(newAlignment)), \(flags.rawValue))"
    trace(what)
    guard let from = try? Layout(size: old.size, alignment: old.alignment),
      let to = try? Layout(size: size, alignment: newAlignment)
    else { fail("\(what): no such layouts") }
    do {
      let block = try tested.heap.reallocate(old.pointer, from: from, to: to, flags: flags, node: .any)
      guard size > 0 else {
        return require(block.count == 0 && block.baseAddress == to.dangling, "\(what): answers \(block)")
      }
      let common = min(old.size, size)
      old.check(what, at: block.baseAddress!, count: common)
      if flags.contains(.zero) { requireZero(block.baseAddress!, common..<block.count, what) }
      addResized(block, old, size, newAlignment, what)
    } catch {
      let shrinks = size <= old.size && old.alignment == newAlignment
      require(!shrinks, "\(what): a shrink was refused with \(error)")
      requireMayRefuse(error, tested, flags, what)
      oracle.putBack(old, what)
    }
  }

  /// The C-shaped functions, on the global heap: a block that lives for this operation only.
  mutating func useFunctions() {
    let (size, newSize, alignment, zeroed) = (size(), size(), input.alignment(), input.below(2) == 1)
    let what = "alloc(\(size), \(alignment)), then realloc to \(newSize)"
    trace(what)
    let tested = heaps[0]!
    guard let first = zeroed ? allocZeroed(size, alignment: alignment) : alloc(size, alignment: alignment) else {
      return requireMayRefuse(nil, tested, .kernel, what)
    }
    if zeroed { requireZero(first, 0..<size, what) }
    var block = Live(
      address: UInt(bitPattern: first), size: size, usable: size, alignment: alignment, heap: 0, stamp: 0)
    oracle.add(block, what)
    block = oracle.remove(oracle.blocks.count - 1, what)
    guard let second = realloc(first, size, newSize: newSize, alignment: alignment) else {
      requireMayRefuse(nil, tested, .kernel, what)
      block.check(what)
      return dealloc(first, size, alignment: alignment)
    }
    block.check(what, at: second, count: min(size, newSize))
    // A shrink for which no memory was to be had keeps the block under the smaller size.
    if tested.heap.usableSize(of: second) != Heap.usableSize(size: newSize, alignment: alignment) {
      heaps[0]!.hasRelabelled = true
    }
    dealloc(second, newSize, alignment: alignment)
  }

  // MARK: KBoxed

  /// A vector beside an array, for this operation only.
  mutating func useVector(_ tested: TestedHeap) {
    var vector = Vec<UInt64, Heap>(in: tested.heap)
    var array: [UInt64] = []
    for turn in 0..<input.below(48) {
      let value = UInt64(input.byte()) &* 0x9E37_79B9_7F4A_7C15
      switch value >> 40 & 7 {
      case 0: require(vector.popLast() == array.popLast(), "popLast of a vector of \(array.count)")
      case 1: vector.shrink()
      case 2:
        do {
          vector = try vector.tryClone()
        } catch { requireMayRefuse(error, tested, .kernel, "clone of a vector of \(array.count)") }
      default:
        for step in 0...UInt64(turn) {
          do {
            try vector.append(value &+ step)
            array.append(value &+ step)
          } catch {
            requireMayRefuse(error, tested, .kernel, "append to a vector of \(array.count)")
          }
        }
      }
      require(vector.count == array.count, "a vector of \(array.count) says \(vector.count)")
    }
    for index in array.indices { require(vector.span[index] == array[index], "element \(index) of a vector") }
  }
}
