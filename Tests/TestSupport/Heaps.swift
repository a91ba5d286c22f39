import KAllocAtomics
import Slab
import Testing

/// The seed of this run.
public func testSeed() -> Seed { Seed(ka_os_environment("KALLOC_SEED").map { String(cString: $0) }) }

/// A heap of its own for `body`, which must leave nothing allocated in it.
public func withHeap<Result>(
  nodes: Int = 1, limit: Int = .max, mode: BindingMode? = nil, windowBytes: Int = 256 << 20,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (Heap) throws -> Result
) throws -> Result {
  var configuration = HeapConfiguration()
  configuration.topology = try .simulated(nodes: nodes)
  configuration.limit = limit
  configuration.mode = mode
  configuration.windowBytes = windowBytes
  let heap = try Heap.create(configuration)
  let result = try body(heap)
  #expect(heap.validate() == nil, sourceLocation: sourceLocation)
  #expect(heap.statistics().liveObjects == 0, sourceLocation: sourceLocation)
  heap.trim()
  #expect(heap.validate() == nil, sourceLocation: sourceLocation)
  #expect(heap.committedBytes == 0, sourceLocation: sourceLocation)
  #expect(heap.statistics().pages.dirtyFrames == 0, sourceLocation: sourceLocation)
  #expect(heap.destroy(), sourceLocation: sourceLocation)
  return result
}
