import Testing

@testable import Slab

@Suite struct `Stillness` {
  @Test func `counts from the first look that saw the tops as they are`() {
    let first = Slab.Stillness(sum: 7, since: 1000)
    #expect(first.seen(7, now: 1500) == nil)
    #expect(first.seen(8, now: 1500) == Slab.Stillness(sum: 8, since: 1500))
    #expect(!first.hasLasted(1000, now: 1999))
    #expect(first.hasLasted(1000, now: 2000))
  }

  @Test func `has not lasted for a look whose clock was read before another's`() {
    let stillness = Slab.Stillness(sum: 7, since: 1001)
    #expect(!stillness.hasLasted(1000, now: 1000))
    #expect(!stillness.hasLasted(0, now: 1000))
  }

  @Test func `goes on when the 32 bits of the clock begin again`() {
    let stillness = Slab.Stillness(sum: 7, since: UInt64(UInt32.max) - 9)
    #expect(!stillness.hasLasted(1000, now: UInt64(UInt32.max) + 980))
    #expect(stillness.hasLasted(1000, now: UInt64(UInt32.max) + 991))
  }
}
