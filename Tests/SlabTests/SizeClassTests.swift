import Testing

@testable import Slab

/// F60.
@Suite struct `Size classes` {
  @Test func `a class is the smallest that holds the size`() {
    for size in 1...SizeClass.maximumBytes {
      let found = SizeClass(holding: size)
      guard found.bytes >= size, found.index == 0 || SizeClass(index: found.index - 1).bytes < size else {
        Issue.record("size \(size) is served by class \(found.index) of \(found.bytes) bytes")
        return
      }
    }
  }

  @Test func `sizes go in steps of 16 to 128, then four times per doubling to 32 KiB`() {
    let sizes = (0..<SizeClass.count).map { SizeClass(index: $0).bytes }
    var expected = Array(stride(from: 16, through: 128, by: 16))
    for power in 7..<15 { for quarter in 5...8 { expected.append(quarter << (power - 2)) } }
    #expect(sizes == expected)
    #expect(sizes.last == SizeClass.maximumBytes)
  }

  @Test func `at most a fifth of an object is unused above 64 bytes`() {
    for size in 65...SizeClass.maximumBytes {
      let bytes = SizeClass(holding: size).bytes
      guard (bytes - size) * 5 <= bytes else {
        Issue.record("\(bytes - size) of \(bytes) bytes are unused for size \(size)")
        return
      }
    }
  }

  @Test func `a class that serves an alignment is a multiple of it, for every size`() {
    for shift in 0...12 {
      let alignment = 1 << shift
      var last = 0
      for size in 1...SizeClass.maximumBytes {
        guard let found = SizeClass(size: size, alignment: alignment) else {
          Issue.record("no class for size \(size), alignment \(alignment)")
          return
        }
        let padded = (size + alignment - 1) / alignment * alignment
        guard found.bytes % alignment == 0, found == SizeClass(holding: padded), found.bytes >= last else {
          Issue.record("\(found.bytes) bytes for size \(size), alignment \(alignment)")
          return
        }
        last = found.bytes
      }
    }
  }

  @Test func `what no class serves has none`() {
    for size in [Int.min, -1, 0, 32769, 40000, 1 << 40, .max] { #expect(SizeClass(size: size, alignment: 16) == nil) }
    for alignment in [8192, 1 << 20, 1 << 60, 1 << 62, 0, .min] {
      for size in [1, 8192, 32768] { #expect(SizeClass(size: size, alignment: alignment) == nil) }
    }
    #expect(SizeClass(size: .max, alignment: 4096) == nil)
  }

  @Test func `the class of a power of two is of that size`() {
    for shift in 4...15 { #expect(SizeClass(holding: 1 << shift).bytes == 1 << shift) }
  }
}
