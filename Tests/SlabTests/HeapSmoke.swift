import Slab
import Testing

@Suite struct HeapSmoke {
  @Test func `a block is allocated, written and freed`() throws {
    let heap = Heap.global
    let p = try #require(heap.allocate(size: 64))
    p.storeBytes(of: 7, as: Int.self)
    heap.deallocate(p, size: 64)
    print(heap.mode as Any, heap.committedBytes)
    let q = try #require(heap.allocate(size: 64))
    #expect(p == q)
    heap.deallocate(q, size: 64)
    heap.trim()
    #expect(heap.committedBytes == 0)
    #expect(heap.validate() == nil)
  }
  @Test func `many`() throws {
    let heap = Heap.global
    for size in [1, 16, 64, 100, 300, 5000, 32768, 40000, 1 << 20, 3 << 20, 1 << 31] {
      var ps: [UnsafeMutableRawPointer] = []
      for _ in 0..<(size < 100000 ? 3000 : 10) {
        ps.append(try #require(heap.allocate(size: size))); ps.last!.storeBytes(of: 1, as: UInt8.self)
      }
      #expect(Set(ps).count == ps.count)
      #expect(heap.validate() == nil)
      for p in ps.shuffled() { heap.deallocate(p, size: size) }
      #expect(heap.validate() == nil)
      print(size, heap.statistics().liveObjects, heap.committedBytes)
    }
    heap.trim()
    #expect(heap.committedBytes == 0)
    #expect(heap.validate() == nil)
  }
}
