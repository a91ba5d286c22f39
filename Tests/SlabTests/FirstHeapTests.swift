import CTestSupport
import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

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

@Test func `what is freed between the making of a heap and its publication is not lost`() throws {
  var configuration = HeapConfiguration()
  configuration.mode = .rseq
  configuration.windowBytes = 64 << 20
  // From here on sections find a CPU, and in the heap below the closed regions of a handle that is not published yet.
  try withHeap(mode: .rseq) { _ in }
  let bytes = (Int(ka_os_cpu_limit()) + Int(KA_CLOSED_REGIONS)) * Int(KA_REGION_BYTES)
  let interim = try #require(ka_os_map(bytes, Int(KA_OS_PAGE_BYTES)))
  defer { ka_os_unmap(interim, bytes) }
  let handle = UnsafeMutablePointer<ka_heap>.allocate(capacity: 1)
  defer { handle.deallocate() }
  handle.initialize(
    to: ka_heap(
      regions: interim + Int(KA_CLOSED_REGIONS) * Int(KA_REGION_BYTES), state: nil, window_base: 0, window_frames: 0,
      owners: nil))

  let state = try HeapState.make(configuration, handle: handle).get()
  AtomicWord(ka_heap_state_word(handle)).storeRelease(UInt64(UInt(bitPattern: state.record)))
  let heap = Heap(handle)
  let blocks = try (0..<100).map { _ in try #require(heap.allocate(size: 64)) }
  for block in blocks { heap.deallocate(block, size: 64) }
  state.publish()
  let block = try #require(heap.allocate(size: 64))
  heap.deallocate(block, size: 64)
  #expect(heap.validate() == nil)
  #expect(heap.statistics().liveObjects == 0)
  #expect(heap.destroy())
}

@Test func `where the kernel has no barrier a heap binds to threads, and can be destroyed`() async {
  await #expect(processExitsWith: .success) {
    // A sandbox that allows no filter shows nothing.
    guard ct_refuse_membarrier() else { exit(0) }
    var configuration = HeapConfiguration()
    configuration.mode = .rseq
    let heap = try Heap.create(configuration)
    if heap.mode != .thread { exit(1) }
    onThreads(2) { _ in
      let blocks = (0..<100).compactMap { _ in heap.allocate(size: 64) }
      for block in blocks { heap.deallocate(block, size: 64) }
    }
    guard heap.validate() == nil, heap.destroy() else { exit(2) }
  }
}

@Test func `a word in KALLOC_MODE that names no mode is ignored, which is said once`() async {
  for (word, lines) in [("never", 1), ("RSEQ", 1), ("rseqs", 1), ("shared ", 1), ("", 0), ("shared", 0)] {
    let end = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      [word = word as String] in
      setenv("KALLOC_MODE", word, 1)
      let heaps = try (0..<3).map { _ in try Heap.create(HeapConfiguration()) }
      guard let block = Heap.global.allocate(size: 64) else { exit(1) }
      Heap.global.deallocate(block, size: 64)
      if heaps.contains(where: { ($0.mode == .shared) != (word == "shared") || !$0.destroy() }) { exit(2) }
    }
    let text = String(decoding: end?.standardErrorContent ?? [], as: UTF8.self)
    let reported = text.split(separator: "\n").count { $0.hasPrefix("kalloc: KALLOC_MODE") }
    #expect(reported == lines, "\(word): \(text)")
  }
}
