import CTestSupport
import Glibc
import KAllocAtomics
import TestSupport
import Testing

@testable import Slab

/// P1: every allocation is fallible and says so. No path traps on exhaustion.
///
/// Seen to fail where a request beyond the limit traps, and where a global heap that cannot be made does.
@Suite struct `P1: exhaustion` {
  /// Every way to allocate, for sizes of every kind. Returns how many succeeded; frees what it got.
  private static func tryEverything(_ heap: Heap, expecting allowed: Set<AllocError>) -> Int {
    var successes = 0
    func note(_ body: () throws(AllocError) -> Void) {
      do throws(AllocError) {
        try body()
        successes += 1
      } catch {
        #expect(allowed.contains(error))
      }
    }
    for size in [1, 64, 1000, 4096, 32_768, 32_769, 100_000, 1 << 20, 64 << 20, 1 << 30, 3 << 30, 1 << 50, .max] {
      if let block = heap.allocate(size: size) {
        successes += 1
        heap.deallocate(block, size: size)
      }
      for flags in [
        AllocFlags.kernel, .noWait, .atomic, [.kernel, .zero], [.kernel, .retryMayFail], [.kernel, .thisNode],
      ] {
        note { () throws(AllocError) in
          let block = try heap.allocate(size: size, alignment: 16, flags: flags, node: nil)
          heap.deallocate(block.baseAddress!, size: size)
        }
        note { () throws(AllocError) in
          let block = try heap.allocate(size: size, alignment: 1 << 16, flags: flags, node: NodeIndex(0))
          heap.deallocate(block.baseAddress!, size: size, alignment: 1 << 16)
        }
      }
    }
    for order in 0...40 {
      note { () throws(AllocError) in
        let pages = try heap.allocatePages(order: order)
        heap.deallocatePages(pages, order: order)
      }
    }
    return successes
  }

  @Test func `by a limit is an error for every call, in every thread, and passes`() throws {
    try withHeap(limit: 512 << 10) { heap in
      let allowed: Set<AllocError> = [.limitExceeded, .sizeTooLarge]
      // The limit to the last byte.
      let all = try heap.allocate(size: 512 << 10, alignment: 16, flags: .kernel, node: nil)
      onThreads(3) { _ in #expect(Self.tryEverything(heap, expecting: allowed) == 0) }
      #expect(heap.committedBytes == 512 << 10)
      #expect(heap.validate() == nil)
      heap.deallocate(all.baseAddress!)
      #expect(Self.tryEverything(heap, expecting: allowed) > 50)
    }
  }

  @Test func `of a given range is an error for every call, in every thread, and passes`() throws {
    let bytes = 8 << 20
    let memory = try #require(ka_os_map(bytes, 4096))
    defer { ka_os_unmap(memory, bytes) }
    var configuration = HeapConfiguration()
    configuration.memory = HeapConfiguration.Memory(memory, bytes: bytes)
    let heap = try Heap.create(configuration)
    var pages: [UnsafeMutableRawPointer] = []
    while let page = try? heap.allocatePages(order: 0) { pages.append(page) }
    onThreads(3) { _ in #expect(Self.tryEverything(heap, expecting: [.outOfMemory, .sizeTooLarge]) == 0) }
    #expect(heap.validate() == nil)
    for page in pages { heap.deallocatePages(page, order: 0) }
    #expect(Self.tryEverything(heap, expecting: [.outOfMemory, .sizeTooLarge]) > 50)
    #expect(heap.validate() == nil)
    #expect(heap.destroy())
  }

  @Test func `reached by many threads at once loses nothing`() throws {
    let seed = testSeed()
    try withHeap(limit: 2 << 20) { heap in
      let faults = Counter()
      let failures = Counter()
      onThreads(4) { thread in
        // More than the limit by itself: the others may have ended before this one begins.
        let table = BlockTable(heap, capacity: 4000, largest: 20_000, seed.random(thread))
        for _ in 0..<3000 { table.step() }
        table.empty()
        faults.add(table.faults)
        failures.add(table.failures)
        table.dispose()
      }
      #expect(faults.value == 0, "\(seed)")
      #expect(failures.value > 0)
      #expect(heap.statistics().peakCommittedBytes <= 2 << 20)
    }
  }

  @Test(.disabled(if: ct_sanitizer(), "the sanitizers need address space"))
  func `of address space is an error, for the first use of the global heap, too`() async {
    await #expect(processExitsWith: .success) {
      guard ct_limit_address_space(1 << 20) else { exit(1) }
      // From here on no system call gives memory.
      if Heap.global.allocate(size: 64) != nil { exit(2) }
      if Heap.global.allocate(size: 1 << 20) != nil { exit(3) }
      if (try? Heap.create(HeapConfiguration())) != nil { exit(4) }
      do throws(AllocError) {
        _ = try Heap.global.allocate(size: 64, alignment: 16, flags: .kernel, node: nil)
        exit(5)
      } catch {
        if error != .outOfMemory { exit(6) }
      }
      if Heap.global.committedBytes != 0 || Heap.global.trim() != 0 { exit(7) }
      exit(0)
    }
  }
}
