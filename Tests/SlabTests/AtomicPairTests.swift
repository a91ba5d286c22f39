import Dispatch
import KAllocAtomics
import Testing

/// Both halves of one 16-byte word, changed as one.
@Suite struct AtomicPairTests {
  /// A pair in memory of its own, which several threads may be given.
  struct Pair: @unchecked Sendable {
    // The memory outlives every copy: it is freed by the test that made it, after its threads have ended.
    let word: UnsafeMutablePointer<ka_u128>

    init() {
      word = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16).bindMemory(to: ka_u128.self, capacity: 1)
      word.initialize(to: ka_u128(low: 0, high: 0))
    }
  }

  @Test func `a pair is exchanged where both halves are as expected, and told otherwise`() {
    let pair = Pair()
    defer { pair.word.deallocate() }
    var expected = ka_u128(low: 0, high: 0)
    #expect(ka_u128_cas(pair.word, &expected, ka_u128(low: 1, high: 2)))
    for (low, high) in [(1, 3), (3, 2), (0, 0)] as [(UInt64, UInt64)] {
      expected = ka_u128(low: low, high: high)
      #expect(!ka_u128_cas(pair.word, &expected, ka_u128(low: 9, high: 9)))
      #expect(expected.low == 1 && expected.high == 2)
    }
    let found = ka_u128_load(pair.word)
    #expect(found.low == 1 && found.high == 2)
  }

  @Test func `threads that change a pair never see half of a change`() {
    let pair = Pair()
    defer { pair.word.deallocate() }
    let threads = 4
    let rounds: UInt64 = 20_000
    let group = DispatchGroup()
    for thread in 0..<threads {
      DispatchQueue(label: "pair \(thread)").async(group: group) {
        for _ in 0..<rounds {
          var expected = ka_u128_load(pair.word)
          repeat {
            guard expected.high == ~expected.low &+ 1 else { fatalError("\(expected)") }
          } while !ka_u128_cas(pair.word, &expected, ka_u128(low: expected.low &+ 1, high: expected.high &- 1))
        }
      }
    }
    group.wait()
    let found = ka_u128_load(pair.word)
    #expect(found.low == UInt64(threads) * rounds)
    #expect(found.high == 0 &- found.low)
  }
}
