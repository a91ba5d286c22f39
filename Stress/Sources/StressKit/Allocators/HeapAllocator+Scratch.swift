import CStress
import Dispatch
import Glibc
import Slab

// Heaps that begin and end. What is rare in a heap's life is frequent here: the first allocation of each class on each
// CPU, made by several threads at the same moment, and the end of everything. Up to three heaps begin together, of
// different modes where that is asked for, and each thread uses all of them alternately.

extension HeapAllocator {
  static var scratchThreads: Int { 3 }

  /// Small heaps of one to four simulated nodes, on which a few threads begin at once: some hundred blocks each, half of
  /// them given back, a trim, the rest, a look at everything, and the end.
  func exerciseScratchHeap(seed: UInt64) -> ScratchResult {
    var random = RandomSource(seed: seed, stream: 77)
    var modes: [BindingMode?] = [heap.mode]
    if mixesModes { modes = [.rseq, .thread, .shared].shuffled(using: &random).suffix(1 + random.below(3)) }
    var scratch: [Heap] = []
    var result = ScratchResult()
    do {
      for mode in modes { scratch.append(try Self.makeScratchHeap(mode, nodes: 1 + random.below(4))) }
      result = Self.exerciseOnThreads(scratch, seed: seed)
    } catch AllocError.outOfMemory where AddressSpace.limit != nil {
      result.refused = 1
    } catch {
      result.failure = "a new heap: \(error)"
    }
    // Half of the heaps end without a trim.
    let trims = random.once(in: 2)
    for heap in scratch where result.failure == nil { result.failure = Self.end(heap, trims: trims) }
    return result
  }

  private static func makeScratchHeap(_ mode: BindingMode?, nodes: Int) throws(AllocError) -> Heap {
    var configuration = HeapConfiguration()
    configuration.mode = mode
    configuration.windowBytes = 64 << 20
    configuration.topology = try Topology.simulated(nodes: nodes)
    return try Heap.create(configuration)
  }

  private static func exerciseOnThreads(_ scratch: [Heap], seed: UInt64) -> ScratchResult {
    let gate = MappedArray<UInt64>(count: 1)
    defer { gate.unmap() }
    let outcome = Guarded(ScratchResult())
    let group = DispatchGroup()
    for thread in 0..<scratchThreads {
      group.enter()
      Crew.startThread {
        // Relaxed: the gate only lets the threads begin together.
        while cs_load_relaxed(gate.base) == 0 {}
        let result = exercise(scratch, seed: seed &+ UInt64(thread) << 32)
        outcome.withLock { $0.add(result) }
        group.leave()
      }
    }
    cs_store_relaxed(gate.base, 1)
    group.wait()
    return outcome.withLock { $0 }
  }

  /// What is wrong with a heap of which all blocks were given back, or `nil`, and then it is no more.
  private static func end(_ scratch: Heap, trims: Bool) -> String? {
    // In thread mode a trim leaves out threads that are inside an operation at that moment, of whatever heap, and such a
    // thread may lose its CPU there: so again, for a while.
    let patience = cs_now() + 5_000_000_000
    while trims {
      _ = scratch.trim()
      if scratch.committedBytes == 0 || cs_now() > patience { break }
      usleep(500)
    }
    if let wrong = scratch.validate() { return "a new heap's validate: \(wrong)" }
    if trims, scratch.committedBytes != 0 {
      let kept = scratch.statistics()
      return "a heap of \(scratch.topology.nodeCount) nodes keeps \(scratch.committedBytes) bytes:"
        + " \(kept.slabs) slabs, \(kept.liveObjects) objects live, \(kept.cachedObjects) cached"
    }
    return scratch.destroy() ? nil : "a new heap without blocks could not be destroyed"
  }

  private static func exercise(_ scratch: [Heap], seed: UInt64) -> ScratchResult {
    var random = RandomSource(seed: seed, stream: 78)
    var result = ScratchResult()
    let blocks = MappedArray<Block>(count: 256)
    defer { blocks.unmap() }
    for slot in 0..<blocks.count {
      let size = SizeMix.small.draw(&random).size
      guard let memory = scratch[slot % scratch.count].allocate(size: size) else {
        result.failure = "a new heap refused \(size) bytes"
        return result
      }
      let address = UInt(bitPattern: memory)
      let stamp = Stamp.make(seed: seed, address: address, size: size, serial: UInt64(slot))
      Stamp.write(stamp, to: memory, size: size)
      blocks[slot] = Block(address: address, size: size, stamp: stamp, alignment: 16, order: -1, owner: 0)
    }
    for part in 0..<2 {
      for slot in stride(from: part, to: blocks.count, by: 2) {
        let block = blocks[slot]
        if let wrong = Stamp.firstWrongByte(block.stamp, in: block.pointer, size: block.size) {
          result.failure = "a new heap's \(block.description): byte \(wrong) changed"
          return result
        }
        scratch[slot % scratch.count].deallocate(block.pointer, size: block.size)
        result.blocks += 1
      }
      if random.once(in: 4) { _ = scratch[part % scratch.count].trim() }
    }
    return result
  }
}
