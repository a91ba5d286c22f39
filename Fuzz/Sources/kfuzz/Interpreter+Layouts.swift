import KAlloc
import Slab

// What only computes, beside arithmetic that is wide enough not to overflow; and the allocators of KAlloc as values, each by
// way of the protocol: the process's, the C library's, a heap.

extension Interpreter {
  mutating func compute() {
    let (left, right) = (anyLayout(), anyLayout())
    let count = [input.byte(), -input.byte(), input.oddSize(), input.word()][input.below(4)]
    trace("layouts \(left), \(right), count \(count)")
    composeLayouts(left, right, count)
    let alignment = input.oddAlignment()
    let isPower = alignment > 0 && alignment & (alignment - 1) == 0
    let padded = isPower ? Int128(left.size).rounded(up: alignment) : Int128(Int.max) + 1
    let padding = try? left.padding(for: alignment)
    require(padding.map { Int128($0) } == (padded.fits ? padded - Int128(left.size) : nil), "padding for \(alignment)")
    let raised = try? left.raising(alignment: alignment)
    let most = max(alignment, left.alignment)
    let mayRaise = isPower && Int128(left.size).rounded(up: most).fits
    require(raised == (mayRaise ? try? Layout(size: left.size, alignment: most) : nil), "raising to \(alignment)")
    require(Int(bitPattern: left.dangling) == left.alignment && left.emptyBlock.count == 0, "dangling of \(left)")

    let bytes = Int128(count) * 12
    require((try? Layout.array(of: (Int64, Int32).self, count: count)) == nil || count >= 0, "a negative array")
    let array = try? ArrayLayout<(Int32, Int32, Int32)>(count: count)
    require((array != nil) == (count >= 0 && bytes.rounded(up: 4).fits), "an array of \(count) times 12 bytes")
    require(array.map { Int128($0.layout.size) == bytes && $0.isEmpty == (count == 0) } ?? true, "its size")

    if let order = Order(covering: count, alignment: isPower ? alignment : 1) {
      let span = max(count, isPower ? alignment : 1, 1)
      require(order.frames >= span && (order.rawValue == 0 || order.frames / 2 < span), "the order of \(count)")
    } else {
      require(count < 0 || count > 1 << 62 || alignment > 1 << 62, "no order for \(count)")
    }
    let nodes = 1 + input.below(70)
    guard let topology = try? Topology.simulated(nodes: nodes) else { return require(nodes > 64, "\(nodes) nodes") }
    let (one, other) = (NodeIndex(input.below(nodes)), NodeIndex(input.below(nodes)))
    require(topology.node(ofCPU: count & 1023).rawValue == (count & 1023) % nodes, "the node of a CPU")
    let distance = topology.distance(one, other)
    require(distance == topology.distance(other, one) && (distance == 10) == (one == other), "distances of \(nodes)")
    require((try? NumaNode(count)) == nil || count < NumaNode.count, "node \(count) of \(NumaNode.count)")
  }

  private mutating func anyLayout() -> Layout {
    let size = input.below(4) == 0 ? input.oddSize() : input.word()
    return (try? Layout(size: size, alignment: input.alignment())) ?? Layout.of(Int.self)
  }

  private func composeLayouts(_ left: Layout, _ right: Layout, _ count: Int) {
    let padded = Int128(left.size).rounded(up: left.alignment)
    require(Int128(left.padToAlignment().size) == padded, "padToAlignment of \(left)")
    func check(_ found: Layout?, _ size: Int128, _ alignment: Int, _ what: String, isPossible: Bool = true) {
      let isValid = isPossible && size.rounded(up: alignment).fits
      require((found != nil) == isValid, "\(what) of \(left), \(right), \(count) is \(found.map { "\($0)" } ?? "none")")
      if let found { require(Int128(found.size) == size && found.alignment == alignment, "\(what): \(found)") }
    }
    let offset = Int128(left.size).rounded(up: right.alignment)
    let most = max(left.alignment, right.alignment)
    let extended = try? left.extend(right)
    check(extended?.layout, offset + Int128(right.size), most, "extend")
    require(extended.map { Int128($0.offset) == offset } ?? true, "the offset of extend")
    check(
      (try? left.extendPacked(right))?.layout, Int128(left.size) + Int128(right.size), left.alignment, "extendPacked")
    check((try? left.repeat(count))?.layout, padded * Int128(count), left.alignment, "repeat", isPossible: count >= 0)
    check(
      try? left.repeatPacked(count), Int128(left.size) * Int128(count), left.alignment, "repeatPacked",
      isPossible: count >= 0)
  }

  /// A block of an allocator, for this operation only: given, moved, and given back, zeroed or not.
  mutating func useAllocator(_ index: Int, _ tested: TestedHeap) {
    switch input.below(3) {
    case 0: use(Kmalloc(), heaps[0]!)
    case 1: use(SystemAllocator(), nil)
    default: use(tested.heap, tested)
    }
  }

  /// - Parameter tested: the heap behind it; `nil`: none of ours, which does not refuse.
  private mutating func use(_ allocator: some Allocator, _ tested: TestedHeap?) {
    func usable(_ layout: Layout) -> Int { type(of: allocator).usableSize(for: layout) }
    let (flags, choice) = (flags().union(.reclaim), input.byte())
    let (size, newSize) = (choice & 7 == 0 ? 0 : size(), choice & 56 == 0 ? 0 : size())
    guard let old = try? Layout(size: size, alignment: input.alignment()),
      let new = try? Layout(size: newSize, alignment: choice & 64 == 0 ? old.alignment : input.alignment())
    else { fail("no layouts") }
    let what = "\(type(of: allocator)): \(old) to \(new), \(flags.rawValue), \(choice)"
    trace(what)
    func mayRefuse(_ error: AllocError) {
      guard let tested else { fail("\(what): refused with \(error)") }
      requireMayRefuse(error, tested, flags, what)
    }
    var block: UnsafeMutableRawBufferPointer
    do { block = try allocator.allocate(old, flags: flags) } catch { return mayRefuse(error) }
    require(block.count == usable(old), "\(what): \(block.count) bytes usable, not \(usable(old))")
    guard size > 0 else {
      require(block.baseAddress == old.dangling, "\(what): no bytes at \(block)")
      return allocator.deallocate(block.baseAddress!, old)
    }
    if flags.contains(.zero) { requireZero(block.baseAddress!, 0..<size, what) }
    var live = Live(
      address: UInt(bitPattern: block.baseAddress!), size: size, usable: size, alignment: old.alignment, heap: 0,
      stamp: 0)
    oracle.add(live, what)
    live = oracle.remove(oracle.blocks.count - 1, what)
    do {
      block =
        choice & 128 == 0
        ? try allocator.reallocate(block.baseAddress, from: old, to: new, flags: flags)
        : try allocator.reallocateByMoving(block.baseAddress, from: old, to: new, flags: flags, node: .any)
    } catch {
      require(newSize > size || old.alignment != new.alignment, "\(what): a shrink was refused with \(error)")
      mayRefuse(error)
      live.check(what)
      return allocator.deallocate(block.baseAddress!, old)
    }
    guard newSize > 0 else { return require(block.baseAddress == new.dangling, "\(what): no bytes at \(block)") }
    live.check(what, at: block.baseAddress!, count: min(size, newSize))
    if flags.contains(.zero) { requireZero(block.baseAddress!, min(size, newSize)..<newSize, what) }
    require(block.count >= newSize, "\(what): \(block.count) bytes usable")
    // A shrink that kept the block says so by its count, and is freed as what it was.
    let isKept = block.count != usable(new)
    require(!isKept || block.baseAddress == live.pointer && block.count == usable(old), "\(what): answers \(block)")
    if choice & 8 == 0 {
      allocator.deallocate(block.baseAddress!, isKept ? old : new)
    } else {
      allocator.deallocateZeroing(block.baseAddress!, isKept ? old : new)
    }
  }
}

extension Int128 {
  fileprivate var fits: Bool { self <= Int128(Int.max) }

  fileprivate func rounded(up alignment: Int) -> Int128 {
    (self + Int128(alignment) - 1) / Int128(alignment) * Int128(alignment)
  }
}
