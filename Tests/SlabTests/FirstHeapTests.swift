import Glibc
import KAllocAtomics
import Slab
import Testing

@Test func `the global heap has a region for each CPU before another heap lets sections find one`() async {
  // The inlined path has no check for a heap that does not exist, so it must not read behind the closed regions.
  await #expect(processExitsWith: .success) {
    var configuration = HeapConfiguration()
    configuration.mode = .rseq
    let regions = AtomicWord(ka_heap_regions_word(ka_heap_global()))
    let initial = regions.loadRelaxed()
    let heap = try Heap.create(configuration)
    if heap.mode == .rseq && regions.loadRelaxed() == initial { exit(1) }
    guard let block = Heap.global.allocate(size: 64) else { exit(2) }
    Heap.global.deallocate(block, size: 64)
    if heap.mode == .rseq && Heap.global.statistics().shared > 0 { exit(3) }
  }
}
