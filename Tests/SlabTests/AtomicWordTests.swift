import Slab
import Testing

@Test func `a compare-exchange returns the value found`() {
  let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  defer { memory.deallocate() }
  memory.pointee = 5
  let word = AtomicWord(memory)
  #expect(word.compareExchangeAcquireRelease(4, 9) == 5)
  #expect(word.compareExchangeAcquireRelease(5, 9) == 5)
  #expect(word.loadAcquire() == 9)
}
