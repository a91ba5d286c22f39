import KAlloc
import Slab

// Blocks of bytes and of pages, through the heap's own interface.

extension Interpreter {
  mutating func allocate(_ index: Int, _ tested: TestedHeap) {
    let (size, alignment) = (size(), input.alignment())
    let what = "allocate(\(size), \(alignment))"
    trace(what)
    guard let memory = tested.heap.allocate(size: size, alignment: alignment) else {
      return requireMayRefuse(nil, tested, .kernel, what)
    }
    add(memory, nil, size, alignment, index, what)
  }

  /// By its class; from this CPU's cache first, or at once with all that there is.
  mutating func allocateObject(_ index: Int, _ tested: TestedHeap) {
    let choice = input.byte()
    let sizeClass = SizeClass(index: choice % SizeClass.count)
    let what = "allocate(class \(sizeClass.index))"
    trace(what)
    guard oracle.blocks.count < Self.mostBlocks else { return }
    let cached = choice >= 128 ? tested.heap.allocateCached(sizeClass) : nil
    guard let memory = cached ?? tested.heap.allocate(sizeClass) else {
      return requireMayRefuse(nil, tested, .kernel, what)
    }
    add(memory, nil, sizeClass.bytes, 16, index, what)
  }

  mutating func allocateFully(_ index: Int, _ tested: TestedHeap) {
    var flags = flags()
    let (size, alignment, place) = (size(), input.alignment(), input.below(8))
    let node = place < 5 ? nil : NodeIndex(place - 5)
    if node != nil, flags.contains(.noWarn) { flags.formUnion(.thisNode) }
    let what = "allocate(\(size), \(alignment), \(flags.rawValue), node \(node?.rawValue ?? -1))"
    trace(what)
    do {
      let block = try tested.heap.allocate(size: size, alignment: alignment, flags: flags, node: node)
      require(node.map { $0.rawValue < tested.heap.topology.nodeCount } ?? true, "\(what): there is no such node")
      if flags.contains(.thisNode), let node, tested.heap.node(of: block.baseAddress!) != node {
        fail("\(what): the block is not on that node")
      }
      if flags.contains(.zero) { requireZero(block.baseAddress!, 0..<block.count, what) }
      add(block.baseAddress!, block.count, size, alignment, index, what)
    } catch .nodeUnavailable where node.map({ $0.rawValue >= tested.heap.topology.nodeCount }) ?? false {
    } catch {
      requireMayRefuse(error, tested, flags, what)
    }
  }

  /// Notes a block; `usable` as it was told, or as it is computed.
  mutating func add(
    _ memory: UnsafeMutableRawPointer, _ usable: Int?, _ size: Int, _ alignment: Int, _ heap: Int, _ what: String
  ) {
    let computed = Heap.usableSize(size: size, alignment: alignment)
    require(usable == nil || usable == computed, "\(what): \(usable!) bytes usable, computed \(computed ?? -1)")
    let expected = classBytes(size: size, alignment: alignment)
    require(expected == nil || expected == computed, "\(what): \(computed ?? -1) bytes usable, not \(expected!)")
    oracle.add(
      Live(
        address: UInt(bitPattern: memory), size: size, usable: usable ?? computed!, alignment: alignment, heap: heap,
        stamp: 0), what)
    requireKnown(oracle.blocks.last!, what)
  }

  /// What the heaps say of a live block: one owns it, and knows its size.
  func requireKnown(_ block: Live, _ what: String) {
    for (index, tested) in heaps.enumerated() {
      guard let heap = tested?.heap else { continue }
      require(heap.owns(block.pointer) == (index == block.heap), "\(what): heap \(index) errs about owning \(block)")
    }
    guard block.order == nil, !block.isRelabelled, let tested = heaps[block.heap] else { return }
    let found = tested.heap.usableSize(of: block.pointer)
    let right = tested.hasRelabelled ? found ?? 0 >= block.usable : found == block.usable
    require(right, "\(what): usableSize(of:) of \(block) is \(found ?? -1)")
  }

  mutating func deallocate() {
    let form = input.byte()
    if let index = pick() { free(index, form: form) }
  }

  mutating func free(_ index: Int, form: Int) {
    let block = oracle.remove(index, "free")
    let heap = heaps[block.heap]!.heap
    trace("free \(block), form \(form)")
    if let order = block.order { return heap.deallocatePages(block.pointer, order: order) }
    switch form % 5 {
    case 4 where heap.deallocateCached(block.address): return
    case 1: heap.deallocate(block.pointer)
    case 2:
      if let fault = heap.deallocateUnsized(block.pointer) { fail("deallocateUnsized of \(block): \(fault)") }
    case _ where block.isUnsized: heap.deallocate(block.pointer)
    case 3:
      // Any size from the one asked for to the usable one.
      let size = block.size + (block.usable - block.size) * (form >> 2) / 63
      heap.deallocate(block.pointer, size: block.isRelabelled ? block.size : size, alignment: block.alignment)
    default: heap.deallocate(block.pointer, size: block.size, alignment: block.alignment)
    }
  }

  mutating func reallocate() {
    let (flags, newSize, newAlignment) = (flags(), size(), input.alignment())
    guard let index = pick(where: { $0.order == nil && !$0.isUnsized && !$0.isRelabelled }) else { return }
    let old = oracle.remove(index, "reallocate")
    let tested = heaps[old.heap]!
    let what = "reallocate(\(old), to \(newSize), \(newAlignment), \(flags.rawValue))"
    trace(what)
    do {
      let block = try tested.heap.reallocate(
        old.pointer, size: old.size, alignment: old.alignment, newSize: newSize, newAlignment: newAlignment,
        flags: flags, node: nil)
      old.check(what, at: block.baseAddress!, count: min(old.size, newSize))
      if flags.contains(.zero), block.count > old.usable {
        requireZero(block.baseAddress!, old.usable..<block.count, what)
      }
      addResized(block, old, newSize, newAlignment, what)
    } catch {
      let staysPossible = old.alignment == newAlignment
      require(!(staysPossible && newSize <= old.usable), "\(what): a shrink was refused with \(error)")
      requireMayRefuse(error, tested, flags, what)
      oracle.putBack(old, what)
    }
  }

  /// A block after a change of size: of the new size, or kept whole where it was to shrink.
  mutating func addResized(
    _ block: UnsafeMutableRawBufferPointer, _ old: Live, _ newSize: Int, _ newAlignment: Int, _ what: String
  ) {
    let memory = block.baseAddress!
    // Corpus/object-kept-for-a-run: a kept object once answered with the count of a run, and was then freed as one.
    if block.count == Heap.usableSize(size: newSize, alignment: newAlignment) {
      return add(memory, block.count, newSize, newAlignment, old.heap, what)
    }
    require(memory == old.pointer && block.count == old.usable && newSize <= old.usable, "\(what): answers \(block)")
    require(heaps[old.heap]!.mayRefuse, "\(what): the block was kept, though there is no limit")
    var kept = old
    kept.size = block.count
    oracle.add(kept, what)
  }

  mutating func reallocateUnsized() {
    let newSize = size()
    guard let index = pick(where: { $0.order == nil && !$0.isRelabelled }) else { return }
    let old = oracle.remove(index, "reallocateUnsized")
    let tested = heaps[old.heap]!
    let what = "reallocateUnsized(\(old), to \(newSize))"
    trace(what)
    do {
      guard let memory = try tested.heap.reallocateUnsized(old.pointer, newSize: newSize) else {
        fail("\(what): no block is found there")
      }
      guard let usable = tested.heap.usableSize(of: memory) else { fail("\(what): the block has no size") }
      old.check(what, at: memory, count: min(old.usable, newSize))
      var block = old
      (block.address, block.size, block.usable, block.alignment) = (UInt(bitPattern: memory), newSize, usable, 16)
      block.isUnsized = true
      oracle.add(block, what)
      requireKnown(oracle.blocks.last!, what)
    } catch {
      requireMayRefuse(error, tested, .kernel, what)
      oracle.putBack(old, what)
    }
  }

  mutating func allocatePages(_ index: Int, _ tested: TestedHeap) {
    let (flags, choice) = (flags().subtracting(.zero), input.byte())
    let order = choice < 240 ? choice % 7 : 7 + choice % 4
    guard oracle.liveBytes + 4096 << order < Self.mostBytes, oracle.blocks.count < Self.mostBlocks else { return }
    let what = "allocatePages(\(order), \(flags.rawValue))"
    trace(what)
    do {
      let memory = try tested.heap.allocatePages(order: order, flags: flags)
      let bytes = 4096 << order
      oracle.add(
        Live(
          address: UInt(bitPattern: memory), size: bytes, usable: bytes, alignment: bytes, heap: index, order: order,
          stamp: 0), what)
      requireKnown(oracle.blocks.last!, what)
    } catch {
      requireMayRefuse(error, tested, flags, what)
    }
  }

  mutating func relabel() {
    let size = input.word() & 0xFFF + 1
    guard let index = pick(where: { $0.order == nil && !$0.isUnsized && !$0.isRelabelled }) else { return }
    var block = oracle.blocks[index]
    guard size < block.size, heaps[block.heap]!.heap.relabel(block.pointer, size: size) else { return }
    trace("relabel(\(block), \(size))")
    block = oracle.remove(index, "relabel")
    (block.size, block.alignment, block.isRelabelled) = (size, 16, true)
    oracle.putBack(block, "relabel")
    heaps[block.heap]!.hasRelabelled = true
  }
}
