// What a heap is behind its handle: constant tables, a few shared words, and for each node its regions and depots. Made
// once, published by one compare-exchange of the handle's `state`, then only read but for the words.
//
//     record │ control words │ nodes: {words, slab counters, depot bits} │ node of CPU │ order of nodes │
//     infos of the 84 stacks │ direct mappings │ depots' magazines
//
// All of it lies in one mapping, zeroed, most of it never touched.

import KAllocAtomics

/// The state of a heap. A handle, one pointer wide. Thread-safety: Concurrent.
///
/// ## Invariants
/// `record` points to a record that `make` initialised before it published the state, and that stays mapped until
/// the heap is destroyed. Its fields never change.
@safe
struct HeapState: Sendable {
  nonisolated(unsafe) let record: UnsafeMutablePointer<Record>

  /// Written while the heap is made, then only read.
  @unsafe struct Record {
    let heap: UnsafeMutablePointer<ka_heap>
    let mode: BindingMode
    let topology: Topology
    let mapping: UnsafeMutableRawPointer
    let mappingBytes: Int
    /// The region of CPU 0 (in `thread` mode: of slot 0), and how many there are.
    var regions: UnsafeMutableRawPointer
    let regionCount: Int
    let cpuCount: Int
    /// Where the inlined path looks for the region of CPU 0: `regions`, or closed regions.
    var front: UnsafeMutableRawPointer? = nil
    /// Finds the regions of the outgoing magazines; only with several nodes.
    var outgoing: UnsafeMutablePointer<ka_heap>?
    var windows: UInt
    var windowShift: Int
    /// Whether memory comes from the operating system and can go back to it.
    let growsByOS: Bool
    let infos: UnsafeMutablePointer<StackInfo>
    let control: WordArray
    let nodes: UnsafeMutableRawPointer
    let nodeOfCPU: UnsafeMutablePointer<UInt8>
    let nodeOrder: UnsafeMutablePointer<UInt8>
    let magazines: UnsafeMutableRawPointer
    let magazineBytes: Int
    let direct: WordArray
    var regionsMapping: UnsafeMutableRawPointer? = nil
    var frontMapping: UnsafeMutableRawPointer? = nil
    var outgoingMapping: UnsafeMutableRawPointer? = nil
  }

  @unsafe
  init(_ record: UnsafeMutablePointer<Record>) { unsafe self.record = record }

  // SAFETY, for every access to `record`: by the invariant it is initialised, constant and mapped.
  @inline(__always) var heap: UnsafeMutablePointer<ka_heap> { unsafe record.pointee.heap }
  @inline(__always) var mode: BindingMode { unsafe record.pointee.mode }
  @inline(__always) var topology: Topology { unsafe record.pointee.topology }
  @inline(__always) var nodeCount: Int { unsafe record.pointee.topology.nodeCount }
  @inline(__always) var regionCount: Int { unsafe record.pointee.regionCount }
  @inline(__always) var growsByOS: Bool { unsafe record.pointee.growsByOS }
  /// Of one node's window, and its alignment. Only where `growsByOS`.
  var windowBytes: Int { unsafe 1 << record.pointee.windowShift }

  @inline(__always)
  func region(_ index: Int) -> CPURegion { unsafe CPURegion(record.pointee.regions + index &* CPURegion.bytes) }

  @inline(__always)
  func info(_ stack: StackIndex) -> StackInfo { unsafe record.pointee.infos[stack.rawValue] }

  // MARK: Control words

  /// Shared words of the whole heap, each on a cache line of its own.
  enum Control: Int {
    /// Bytes of frames and direct mappings that the page level has handed out.
    case committed
    /// The most that `committed` may be.
    case limit
    /// The most that `committed` has been.
    case peak
    /// What `committed` has been at most since the last purge: about the bytes that have memory behind them.
    case backed
    /// Milliseconds of the last purge that happened by itself.
    case purged
    /// Milliseconds of the last look for idle CPUs that happened by itself.
    case looked
    /// Milliseconds of the last look for magazines that rest.
    case rested
    /// Drains begun; the number of each.
    case drains
    /// One more than the highest region that was ever opened.
    case regionsUsed
    /// The bytes committed at which the caches are emptied next.
    case growth
    /// Bytes of slabs cut since slabs were purged last.
    case cut
  }

  static let controlWords = 11

  @inline(__always)
  func control(_ control: Control) -> AtomicWord { unsafe record.pointee.control[control.rawValue &* 8] }

  // MARK: Nodes

  /// Words of one node.
  enum NodeWord: Int {
    /// `NodePages`: the list of the node's regions.
    case pages
    case slabRefills
    case slabObjectsTaken
    case slabObjectsGiven
    case slabsMade
    case slabsEnded
  }

  /// Bytes of a node's words: the words above, then two for each depot.
  static var nodeBytes: Int { 64 + StackIndex.withDepot * 16 }

  @inline(__always)
  func nodeWord(_ node: NodeIndex, _ word: NodeWord) -> AtomicWord {
    unsafe WordArray(record.pointee.nodes + node.rawValue &* HeapState.nodeBytes)[word.rawValue]
  }

  func count(_ word: NodeWord, on node: NodeIndex, _ amount: Int = 1) {
    _ = nodeWord(node, word).fetchAddRelaxed(UInt64(truncatingIfNeeded: amount))
  }

  func pages(_ node: NodeIndex) -> NodePages { unsafe NodePages(head: nodeWord(node, .pages)) }

  @inline(__always)
  func depot(_ info: StackInfo, on node: NodeIndex) -> Depot {
    let words = unsafe WordArray(record.pointee.nodes + node.rawValue &* HeapState.nodeBytes + 64)
    let magazines =
      unsafe record.pointee.magazines + node.rawValue &* StackInfo.depotSlots &* record.pointee.magazineBytes
    return unsafe Depot(
      full: words[info.stack.rawValue &* 2], empty: words[info.stack.rawValue &* 2 &+ 1],
      first: magazines + info.magazinesBefore,
      others: magazines + record.pointee.magazineBytes + (StackInfo.depotSlots &- 1) &* info.magazinesBefore, info: info
    )
  }

  /// The node of a CPU; CPUs beyond those that the machine can have count as the first one's.
  @inline(__always)
  func node(ofCPU cpu: Int) -> NodeIndex {
    unsafe NodeIndex(Int(record.pointee.nodeOfCPU[min(cpu, record.pointee.cpuCount &- 1)]))
  }

  /// The node of the CPU that this thread runs on.
  @inline(__always)
  var localNode: NodeIndex { nodeCount == 1 ? NodeIndex(0) : node(ofCPU: Int(ka_current_cpu())) }

  /// The node that comes `rank`-th by distance from `node`; rank 0 is itself.
  @inline(__always)
  func node(_ rank: Int, from node: NodeIndex) -> NodeIndex {
    unsafe NodeIndex(Int(record.pointee.nodeOrder[node.rawValue &* nodeCount &+ rank]))
  }

  // MARK: From an address

  /// The region of frames that an address lies in; `nil`: none of this heap's.
  @inline(__always)
  func pages(containing address: UInt64) -> PageRegion? {
    // SAFETY: the address is compared, not read.
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: UInt(address)) else { return nil }
    let window = unsafe (UInt(address) &- record.pointee.windows) &>> UInt(record.pointee.windowShift)
    if window < UInt(nodeCount), let region = unsafe pages(NodeIndex(Int(window))).region(containing: pointer) {
      return region
    }
    for node in 0..<nodeCount {
      if let region = unsafe pages(NodeIndex(node)).region(containing: pointer) { return region }
    }
    return nil
  }
}
