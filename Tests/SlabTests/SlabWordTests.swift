import Testing

@testable import Slab

@Suite struct `Slab words` {
  static let objects = 9

  @Test func `a word says what it was made from`() {
    #expect(SlabWord.none.sizeClass == nil)
    #expect(SlabWord.none.runFrames == nil)
    for index in 0..<SizeClass.count {
      for free in [0, 1, 8, 1024, 65535] {
        let word = SlabWord(SizeClass(index: index), free: free)
        #expect(word.free == free)
        #expect(word.sizeClass == SizeClass(index: index))
        #expect(word.runFrames == nil)
        #expect(word != .none)
      }
    }
    for frames in [0, 1, 9, 1 << 31, Int(UInt32.max)] {
      let word = SlabWord(runOf: frames)
      #expect(word.runFrames == frames)
      #expect(word.sizeClass == nil)
    }
  }

  @Test func `reserving lowers the count where the class is right and so many are free, exhaustively`() {
    for index in 0..<SizeClass.count {
      for other in 0..<SizeClass.count {
        for free in 0...Self.objects {
          for count in -1...Self.objects + 1 {
            let word = SlabWord(SizeClass(index: index), free: free)
            let next = word.reserving(count, of: SizeClass(index: other))
            if index == other && count >= 1 && count <= free {
              #expect(next == SlabWord(SizeClass(index: index), free: free - count))
            } else {
              #expect(next == nil)
            }
          }
        }
      }
    }
  }

  @Test func `a slab ends only where every object is free, exhaustively`() {
    for index in 0..<SizeClass.count {
      for other in 0..<SizeClass.count {
        for free in 0...Self.objects {
          let next = SlabWord(SizeClass(index: index), free: free).retiring(
            SizeClass(index: other), objects: Self.objects)
          #expect(next == (index == other && free == Self.objects ? SlabWord.none : nil))
        }
      }
    }
  }

  @Test func `neither a run nor nothing is a slab`() {
    for word in [SlabWord.none, SlabWord(runOf: 0), SlabWord(runOf: 1), SlabWord(runOf: Int(UInt32.max))] {
      for index in 0..<SizeClass.count {
        #expect(word.reserving(1, of: SizeClass(index: index)) == nil)
        #expect(word.retiring(SizeClass(index: index), objects: 0) == nil)
        #expect(word.retiring(SizeClass(index: index), objects: word.free) == nil)
      }
    }
  }

  @Test func `any order of taking and returning ends where it began`() {
    let sizeClass = SizeClass(index: 3)
    let whole = SlabWord(sizeClass, free: Self.objects)
    // All ways to take in steps of 1…3, and back by addition as `give` does.
    func take(_ word: SlabWord, _ taken: [Int]) {
      #expect(word.free == Self.objects - taken.reduce(0, +))
      var back = word.bits
      for count in taken { back += UInt64(count) }
      #expect(back == whole.bits)
      for count in 1...3 {
        if let next = word.reserving(count, of: sizeClass) { take(next, taken + [count]) }
      }
    }
    take(whole, [])
  }
}
