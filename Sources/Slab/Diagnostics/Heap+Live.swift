extension Heap {
  /// Calls `body` with each size of which blocks are in use, and how many: objects by class, then large blocks one by one.
  ///
  /// Objects in caches count as in use: `drain` first. Exact when nobody allocates or frees. O(frames ever used).
  ///
  /// Thread-safety: Concurrent.
  public func forEachLiveSize(_ body: (_ bytes: Int, _ count: Int) -> Void) {
    guard let state = existingState else { return }
    for index in 0..<SizeClass.count {
      let count = state.objectsOut(SizeClass(index: index))
      if count > 0 { body(SizeClass(index: index).bytes, count) }
    }
    state.forEachTable { table in
      table.forEachHead { _, word in
        if let frames = word.runFrames { body(frames << Frames.usualShift, 1) }
      }
    }
    let direct = state.direct.statistics()
    if direct.blocks > 0 { body(direct.bytes / direct.blocks, direct.blocks) }
  }
}

extension HeapState {
  fileprivate func forEachTable(_ body: (SlabTable) -> Void) {
    for node in 0..<nodeCount {
      var regions = pages(NodeIndex(node)).regions
      while let region = regions.next() { body(SlabTable(of: region)) }
    }
  }

  fileprivate func objectsOut(_ sizeClass: SizeClass) -> Int {
    let objects = info(StackIndex(sizeClass)).slab.objects
    var count = 0
    forEachTable { table in
      table.forEachHead { _, word in
        if word.sizeClass == sizeClass { count += objects - word.free }
      }
    }
    return count
  }
}
