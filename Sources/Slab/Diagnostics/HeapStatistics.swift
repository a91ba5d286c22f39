// Statistics without counters on the fast path: what is live follows from what the slabs, depots and stacks hold.

/// A heap at one moment. Exact when nobody allocates or frees; otherwise each number is true of some moment, and none is
/// negative.
public struct HeapStatistics: Sendable {
  /// Bytes of frames and mappings in slabs, runs and page stacks.
  public var committedBytes = 0
  /// The most that has been.
  public var peakCommittedBytes = 0
  /// Slabs that exist.
  public var slabs = 0
  /// Objects that those slabs are cut into: carved = live + cached + free.
  public var carvedObjects = 0
  public var freeObjects = 0
  /// Objects in the stacks of CPUs or threads, in outgoing magazines and in depots.
  public var cachedObjects = 0
  /// Large runs and direct mappings that the program holds, and their bytes.
  public var largeBlocks = 0
  public var largeBytes = 0
  /// Pages and large runs on stacks and in depots, in bytes.
  public var cachedPageBytes = 0
  /// Live bytes of objects, by size class, plus large bytes.
  public var liveBytes = 0
  /// Visits of allocations to the depot, and of frees.
  public var refills = 0
  public var flushes = 0
  /// Magazines taken whole from a depot, and put whole into one.
  public var depotTakes = 0
  public var depotPuts = 0
  /// Sections that were aborted and tried again by the slow path.
  public var aborts = 0
  /// Operations that touched no cache.
  public var shared = 0
  /// Frees of another node's objects.
  public var remoteFrees = 0
  /// Times that objects were taken from slabs that existed.
  public var slabRefills = 0
  /// Objects that have left slabs, and those that came back.
  public var slabObjectsTaken = 0
  public var slabObjectsGiven = 0
  /// Slabs cut out of frames since the heap was made, and those that gave their frames back.
  public var slabsMade = 0
  public var slabsEnded = 0
  /// The page level.
  public var pages = PageStatistics()

  public init() {}

  /// Objects that the program holds.
  public var liveObjects: Int { max(carvedObjects - freeObjects - cachedObjects, 0) }
}

extension Heap {
  /// The heap's statistics; zeros where it was never used. O(frames that were ever used).
  ///
  /// Thread-safety: Concurrent.
  public func statistics() -> HeapStatistics {
    var result = HeapStatistics()
    guard let state = existingState else { return result }
    state.addControl(&result)
    for node in 0..<state.nodeCount { state.add(NodeIndex(node), &result) }
    state.addRegions(&result)
    result.largeBlocks = max(result.largeBlocks, 0)
    result.largeBytes = max(result.largeBytes, 0)
    result.liveBytes = max(result.liveBytes, 0) + result.largeBytes
    return result
  }
}

extension HeapState {
  fileprivate func addControl(_ result: inout HeapStatistics) {
    result.committedBytes = Int(truncatingIfNeeded: control(.committed).loadRelaxed())
    result.peakCommittedBytes = Int(truncatingIfNeeded: control(.peak).loadRelaxed())
    let direct = direct.statistics()
    result.largeBlocks += direct.blocks
    result.largeBytes += direct.bytes
  }

  fileprivate func add(_ node: NodeIndex, _ result: inout HeapStatistics) {
    func read(_ word: NodeWord) -> Int { Int(truncatingIfNeeded: nodeWord(node, word).loadRelaxed()) }
    result.slabRefills += read(.slabRefills)
    result.slabObjectsTaken += read(.slabObjectsTaken)
    result.slabObjectsGiven += read(.slabObjectsGiven)
    result.slabsMade += read(.slabsMade)
    result.slabsEnded += read(.slabsEnded)
    result.pages.add(pages(node).statistics())
    for stack in 0..<StackIndex.withDepot {
      let info = info(StackIndex(rawValue: stack))
      addCached(info, depot(info, on: node).pointers, &result)
    }
    var regions = pages(node).regions
    while let region = regions.next() {
      SlabTable(of: region).forEachHead { _, word in
        if let sizeClass = word.sizeClass {
          let geometry = info(StackIndex(sizeClass)).slab
          result.slabs += 1
          result.carvedObjects += geometry.objects
          result.freeObjects += word.free
          result.liveBytes += (geometry.objects - word.free) * geometry.objectBytes
        } else if let frames = word.runFrames {
          result.largeBlocks += 1
          result.largeBytes += frames << Frames.usualShift
        }
      }
    }
  }

  fileprivate func addRegions(_ result: inout HeapStatistics) {
    func read(_ region: CPURegion, _ counter: CPURegion.Counter) -> Int {
      Int(truncatingIfNeeded: region.counter(counter).loadRelaxed())
    }
    for index in 0..<regionsUsed {
      let region = region(index)
      result.refills += read(region, .refills)
      result.flushes += read(region, .flushes)
      result.depotTakes += read(region, .depotTakes)
      result.depotPuts += read(region, .depotPuts)
      result.aborts += read(region, .aborts)
      result.shared += read(region, .shared)
      result.remoteFrees += read(region, .remoteFrees)
      for stack in 0..<StackIndex.count {
        let info = info(StackIndex(rawValue: stack))
        addCached(info, region.fill(info), &result)
        if info.stack.hasDepot { addOutgoing(info, index, &result) }
      }
    }
  }

  private func addOutgoing(_ info: StackInfo, _ index: Int, _ result: inout HeapStatistics) {
    guard let region = outgoingRegion(index) else { return }
    for node in 0..<nodeCount { addCached(info, outgoingFill(region, info.stack, NodeIndex(node)), &result) }
  }

  private func addCached(_ info: StackInfo, _ count: Int, _ result: inout HeapStatistics) {
    if info.stack.sizeClass == nil {
      result.cachedPageBytes += count * info.objectBytes
      if info.stack.runClass == nil { return }
      result.largeBlocks -= count
      result.largeBytes -= count * info.objectBytes
    } else {
      result.cachedObjects += count
      result.liveBytes -= count * info.objectBytes
    }
  }
}
