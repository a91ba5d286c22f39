import Testing

@testable import Slab

// The values and their transitions, without threads, against definitions that count frame by frame.

private func isFree(_ bits: UInt64, _ range: Range<Int>) -> Bool {
  range.allSatisfy { $0 < 64 && bits & (1 << UInt64($0)) == 0 }
}

/// Every pattern of 8 bits at every byte of an empty and of a full row, and random ones.
private func patterns() -> [UInt64] {
  var result: [UInt64] = [0, .max]
  for pattern in UInt64(0)..<256 {
    for shift in stride(from: 0, to: 64, by: 8) {
      result.append(pattern << UInt64(shift))
      result.append(~(pattern << UInt64(shift)))
    }
  }
  var random = Random(seed: 1)
  for _ in 0..<200 { result.append(random.next() & random.next()) }
  for _ in 0..<200 { result.append(random.next() | random.next()) }
  return result
}

@Test func `a run is found in a row exactly where one is free`() {
  var random = Random(seed: 2)
  for bits in patterns() {
    let row = Row(bits: bits)
    // The runs of one length, by recurrence from the end.
    var length = [Int](repeating: 0, count: 65)
    for i in stride(from: 63, through: 0, by: -1) { length[i] = isFree(bits, i..<i + 1) ? length[i + 1] + 1 : 0 }
    for count in [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 63, 64, 1 + random.below(64)] {
      for alignment in [1, 2, 4, 8, 16, 32, 64] {
        let expected = stride(from: 0, to: 64, by: alignment).first { length[$0] >= count }
        let found = row.position(of: count, alignment: alignment)
        if found != expected { Issue.record("\(bits) \(count) \(alignment): \(String(describing: found))") }
      }
    }
  }
}

@Test func `chunks and the largest order are those of a buddy allocator`() {
  for bits in patterns() {
    let row = Row(bits: bits)
    var largest: Int?
    for order in 0...6 {
      var expected: UInt64 = 0
      for start in stride(from: 0, to: 64, by: 1 << order) where isFree(bits, start..<start + (1 << order)) {
        expected |= Row.mask(from: start, count: 1 << order)
      }
      if expected != 0 { largest = order }
      if row.chunks(order: order) != expected { Issue.record("\(bits), order \(order)") }
      for limit in [1 << order, 48, 64] where limit >= 1 << order {
        let some = row.lowestChunks(order: order, limit: limit)
        let size = 1 << order
        let wanted = min(expected.nonzeroBitCount, limit / size * size)
        // As many as fit, none that is not free, and none before them left out.
        let below = expected & (some == 0 ? 0 : ~UInt64(0) >> UInt64(some.leadingZeroBitCount))
        if some.nonzeroBitCount != wanted || some != below { Issue.record("\(bits), order \(order), \(limit)") }
      }
    }
    if row.largestOrder != largest { Issue.record("\(bits): \(String(describing: row.largestOrder))") }
  }
}

@Test func `taking needs every bit clear, freeing every bit set`() {
  for bits in UInt64(0)..<64 {
    for mask in UInt64(1)..<64 {
      #expect(Row(bits: bits).taking(mask)?.bits == (bits & mask == 0 ? bits | mask : nil))
      #expect(Row(bits: bits).freeing(mask)?.bits == (bits & mask == mask ? bits & ~mask : nil))
    }
  }
}

@Test func `runs of free frames carry across rows`() {
  var random = Random(seed: 3)
  for _ in 0..<300 {
    let rows = (0..<8).map { _ -> UInt64 in
      [0, .max, random.next(), random.next() & random.next() & random.next()][random.below(4)]
    }
    var longest = 0
    var carried = 0
    for row in rows { longest = max(longest, Row(bits: row).extend(&carried)) }
    var expected = 0
    var run = 0
    for i in 0..<512 {
      run = rows[i / 64] & (1 << UInt64(i % 64)) == 0 ? run + 1 : 0
      expected = max(expected, run)
    }
    #expect(longest == expected && carried == run, "\(rows)")
  }
}

@Test func `a block word leaves each state only by its own transitions`() {
  #expect(BlockWord.absent.claimed == .growing)
  #expect(BlockWord.growing.claimed == nil)
  #expect(BlockWord.growing.abandoned == .absent)
  #expect(BlockWord.absent.abandoned == nil)
  for word in [BlockWord.absent, .growing] {
    #expect(word.isValid && word.free == 0 && !word.isPresent)
    #expect(word.reserving(1) == nil && word.returning(1) == nil && word.reserving(upTo: 64, unit: 1) == nil)
  }
  for free in 0...512 {
    let word = BlockWord(present: free)
    #expect(word.isValid && word.isPresent && word.free == free && word.claimed == nil && word.abandoned == nil)
    #expect(BlockWord.growing.grown(free: free) == word && BlockWord.absent.grown(free: free) == nil)
    for count in 1...513 {
      let reserved = word.reserving(count)
      let returned = word.returning(count)
      let right =
        reserved?.free == (count <= free ? free - count : nil)
        && returned?.free == (free + count <= 512 ? free + count : nil)
        && (reserved == nil || reserved?.returning(count) == word)
      if !right { Issue.record("\(free) \(count)") }
      // What the shared word does with one addition is the same transition.
      if let returned, returned.bits != word.bits + UInt32(count) { Issue.record("\(free) + \(count)") }
    }
    for unit in [1, 2, 4, 8, 16, 32, 64] {
      for limit in 1...64 {
        let some = min(free, limit) / unit * unit
        if word.reserving(upTo: limit, unit: unit)?.free != (some == 0 ? nil : free - some) {
          Issue.record("\(free) \(limit) \(unit)")
        }
      }
    }
  }
  #expect(BlockWord.growing.grown(free: 513) == nil)
  #expect(!BlockWord(bits: 3 << 16).isValid && !BlockWord(bits: 2 << 16 | 513).isValid && !BlockWord(bits: 1).isValid)
}

@Test func `an age counts from the first look, and is never more than the true one`() {
  #expect(BlockAge.unseen.isOlder(than: 0, now: 100))
  #expect(!BlockAge.unseen.isOlder(than: 1, now: 100))
  let seen = BlockAge.unseen.seen(1000)!
  #expect(seen.seen(2000) == nil)
  #expect(!seen.isOlder(than: 500, now: 1499) && seen.isOlder(than: 500, now: 1500))
  for now: UInt64 in [0, 1, 2, 1 << 32, (1 << 32) + 1] {
    let age = BlockAge.unseen.seen(now)!
    #expect(age != .unseen)
    #expect(!age.isOlder(than: 10, now: now + 9), "\(now)")
  }
}
