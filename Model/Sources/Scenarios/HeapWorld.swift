// Heaps in the arena, with names for their words. Objects are of 32 KiB unless said otherwise: four move between a CPU's
// stack and the depot at once, 16 are on a stack, eight in a slab.

import Explorer
import KAllocAtomics

@testable import Slab

struct SmallHeap {
  let heap: Heap
  let state: HeapState
  let size: Int

  init(_ mode: BindingMode, size: Int = 32768, limit: Int = .max, nodes: Int = 1) throws {
    var configuration = HeapConfiguration()
    configuration.mode = mode
    configuration.limit = limit
    configuration.windowBytes = 1 << 24
    if nodes > 1 { configuration.topology = try .simulated(nodes: nodes) }
    heap = try Heap.create(configuration)
    state = heap.existingState!
    self.size = size
  }

  var info: StackInfo { state.info(StackIndex(SizeClass(holding: size))) }

  /// Allocates an object; nil where there is none.
  @discardableResult
  func take() -> UInt64? {
    note("allocate")
    guard let object = heap.allocate(size: size) else {
      note("no memory")
      return nil
    }
    nowOwns(object, bytes: size, stride: size)
    return UInt64(UInt(bitPattern: object))
  }

  func give(_ object: UInt64) {
    let pointer = UnsafeMutableRawPointer(bitPattern: UInt(object))!
    noLongerOwns(pointer, bytes: size, stride: size)
    heap.deallocate(pointer, size: size)
  }

  /// Frees a live object without its size: it is no double free.
  func giveUnsized(_ object: UInt64) {
    let pointer = UnsafeMutableRawPointer(bitPattern: UInt(object))!
    noLongerOwns(pointer, bytes: size, stride: size)
    expect(heap.deallocateUnsized(pointer) == nil, "a live block is called free or foreign")
  }

  /// Puts objects into the depot, `count` in a magazine.
  func putMagazines(_ objects: [UInt64], of count: Int) {
    let depot = state.depot(info, on: NodeIndex(0))
    for start in stride(from: 0, to: objects.count, by: count) {
      let magazine = depot.takeEmpty()!
      magazine.count = min(count, objects.count - start)
      for index in 0..<magazine.count {
        let object = objects[start + index]
        noLongerOwns(UnsafeRawPointer(bitPattern: UInt(object))!, bytes: size, stride: size)
        plainWrite(magazine.pointers + index, object)
      }
      depot.put(magazine)
    }
  }

  func take(_ count: Int) -> [UInt64] { (0..<count).compactMap { _ in take() } }
  func give(_ objects: [UInt64]) { for object in objects { give(object) } }

  /// Ends the model where the next free on `cpu` would not flush, which the scenario is about.
  func requireFullStack(onCPU cpu: Int) {
    precondition(state.region(cpu).fill(info) == info.capacity, "the stack is not full")
  }

  /// What must hold when all threads have ended.
  func check() {
    if let fault = heap.validate() { expect(false, text(of: fault)) }
    let stack = info
    var out = 0
    for node in 0..<state.nodeCount {
      out -= state.depot(stack, on: NodeIndex(node)).pointers
      var regions = state.pages(NodeIndex(node)).regions
      while let region = regions.next() {
        SlabTable(of: region).forEachHead { _, word in
          if let sizeClass = word.sizeClass, sizeClass == stack.slab.sizeClass {
            out += stack.slab.objects - word.free
          }
        }
      }
    }
    for index in 0..<state.regionsUsed {
      out -= state.region(index).fill(stack)
      guard let region = state.outgoingRegion(index) else { continue }
      for node in 0..<state.nodeCount {
        let offset = state.outgoing.offset(stack.stack, NodeIndex(node))
        let array =
          UInt64(UInt(bitPattern: region.base)) + UInt64(state.outgoing.arrayOffset(stack.stack, NodeIndex(node)))
        let top = region.top(at: offset).loadRelaxed()
        if top > array { out -= Int(top - array) / 8 }
      }
    }
    expect(out == ownedObjects, "objects are lost: neither free, cached nor owned", out - ownedObjects)
    let peak = state.control(.peak).loadRelaxed()
    let limit = state.control(.limit).loadRelaxed()
    let committed = state.control(.committed).loadRelaxed()
    expect(peak <= limit && committed <= limit, "more was committed than the limit allows")
  }

  /// Blocks of the scenario's size that are owned.
  private var ownedObjects: Int { ownedBlocks(of: size) }

  private func text(of fault: HeapFault) -> StaticString {
    switch fault {
    case .pages(.hint): "validate: a hint of the page level is clear although the block has such a run"
    case .pages: "validate: the page level is invalid"
    case .freeCount: "validate: a slab's number is not that of its bits"
    case .owner: "validate: a frame of a slab has another owner"
    case .lostSlab: "validate: a slab with free objects cannot be found"
    case .cachedPointer: "validate: a cached pointer is no object, or is free in its slab"
    case .depot: "validate: a depot's slot is owned by nobody"
    case .committed: "validate: committed bytes are not those in use"
    }
  }

  func names() -> (UInt) -> String? {
    var names: [UInt: String] = [:]
    let stack = info
    let words = ["top", "begin", "end", "room"]
    for index in 0..<min(state.regionCount, 4) {
      let region = state.region(index)
      let base = UInt(bitPattern: region.base)
      names[base] = "gate \(index)"
      names[UInt(bitPattern: region.busy.address)] = "busy \(index)"
      for word in 1...CPURegion.counters { names[base + UInt(word * 8)] = "counter \(word) of \(index)" }
      for other in 0..<StackIndex.count {
        let offset = CPURegion.offset(StackIndex(rawValue: other))
        let which = other == stack.stack.rawValue ? "" : " of stack \(other)"
        for word in 0..<4 { names[base + UInt(offset + word * 8)] = "\(words[word]) \(index)\(which)" }
      }
      for slot in 0..<stack.capacity { names[base + UInt(stack.arrayOffset + slot * 8)] = "array \(index)[\(slot)]" }
    }
    for node in 0..<state.nodeCount {
      let depots = UInt(bitPattern: state.record.pointee.nodes) + UInt(node * HeapState.nodeBytes + 64)
      for other in 0..<StackIndex.withDepot {
        let which = other == stack.stack.rawValue ? "" : " of stack \(other)"
        names[depots + UInt(other * 16)] = "depot \(node) full\(which)"
        names[depots + UInt(other * 16 + 8)] = "depot \(node) empty\(which)"
      }
      let depot = state.depot(stack, on: NodeIndex(node))
      for slot in 0..<StackInfo.depotSlots {
        names[UInt(bitPattern: depot.magazine(slot).words)] = "magazine \(node)[\(slot)] count"
      }
    }
    let control: [(HeapState.Control, String)] = [
      (.committed, "committed"), (.limit, "limit"), (.peak, "peak"), (.drains, "drains"),
      (.regionsUsed, "regions used"),
    ]
    for (word, name) in control { names[UInt(bitPattern: state.control(word).address)] = name }
    return { names[$0] }
  }

  /// The slabs and pages of the first region.
  func names(of node: Int) -> [(UInt) -> String?] {
    guard let pages = state.pages(NodeIndex(node)).first else { return [] }
    let region = SmallRegion(existing: pages)
    let table = SmallTable(existing: SlabTable(of: pages), region, info.slab)
    return [table.names()]
  }
}

func world(_ heap: SmallHeap, cpus: [Int] = [], _ threads: (() -> Void)..., check: @escaping () -> Void = {}) -> World {
  var world = World()
  world.threads = threads
  world.cpus = cpus
  world.names = [heap.names()] + (0..<heap.state.nodeCount).flatMap { heap.names(of: $0) }
  world.check = {
    check()
    heap.check()
  }
  return world
}
