// One suite for every allocator. What it says of blocks it says by address and bytes; what it says of conservation is
// in `TrackedAllocatorTests`.

import AllocatorTesting
import KAlloc
import Slab
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The bytes that a test writes at a place of a block.
private func mark(_ index: Int, _ seed: UInt8) -> UInt8 { UInt8(truncatingIfNeeded: index &* 31) ^ seed }

private func fill(_ block: UnsafeMutableRawBufferPointer, upTo count: Int? = nil, seed: UInt8 = 0) {
  for index in 0..<(count ?? block.count) { block[index] = mark(index, seed) }
}

private func holds(_ block: UnsafeMutableRawBufferPointer, upTo count: Int, seed: UInt8 = 0) -> Bool {
  (0..<count).allSatisfy { block[$0] == mark($0, seed) }
}

/// Whether all bytes from `start` on are `byte`. As fast as the C library compares, as test builds are not.
private func isFlat(_ block: UnsafeMutableRawBufferPointer, from start: Int = 0, _ byte: UInt8) -> Bool {
  guard start < block.count, let bytes = block.baseAddress.map({ $0 + start }) else { return true }
  return block[start] == byte && memcmp(bytes, bytes + 1, block.count - start - 1) == 0
}

private func isZero(_ block: UnsafeMutableRawBufferPointer, from start: Int = 0) -> Bool {
  isFlat(block, from: start, 0)
}

private func fillFlat(_ block: UnsafeMutableRawBufferPointer, _ byte: UInt8) {
  memset(block.baseAddress!, Int32(byte), block.count)
}

private func isAligned(_ block: UnsafeMutableRawBufferPointer, _ alignment: Int) -> Bool {
  Int(bitPattern: block.baseAddress) & (alignment - 1) == 0
}

extension Allocator {
  fileprivate func end(_ block: UnsafeMutableRawBufferPointer, _ layout: Layout) {
    deallocate(block.baseAddress!, layout)
  }
}

@Suite struct AllocatorTests {
  @Test(arguments: Backend.allCases)
  func `a block holds what is written to all its usable bytes`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      for (size, alignment) in [(10, 1), (1, 1), (64, 8), (100, 16), (4096, 16), (100_000, 16), (3_000_000, 16)] {
        let layout = try Layout(size: size, alignment: alignment)
        let block = try allocator.allocate(layout)
        #expect(block.count >= size)
        fillFlat(block, 0x5A)
        #expect(isFlat(block, 0x5A))
        allocator.end(block, layout)
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `growing and shrinking keep the common bytes`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      var layout = try Layout(size: 10, alignment: 1)
      var block = try allocator.allocate(layout)
      fill(block, upTo: 10)
      var kept = 10
      for size in [20, 5, 300, 299, 5000, 40, 70_000, 200_000, 120_000, 1] {
        let next = try Layout(size: size, alignment: 1)
        block = try allocator.reallocate(block.baseAddress, from: layout, to: next)
        layout = next
        #expect(block.count >= size)
        kept = min(kept, size)
        #expect(holds(block, upTo: kept))
        fill(block, upTo: size)
        kept = size
      }
      allocator.end(block, layout)
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `a zeroed block is zero to its last usable byte, also where dirty bytes were just freed`(
    backend: Backend
  ) throws {
    func check(_ allocator: some Allocator) throws {
      for size in [1, 10, 24, 100, 1000, 5000, 40_000, 300_000] {
        for alignment in [1, 16, 64, 4096] {
          let layout = try Layout(size: size, alignment: alignment)
          for _ in 0..<3 {
            let block = try allocator.allocate(layout, flags: [.kernel, .zero])
            #expect(isZero(block))
            fillFlat(block, 0xA5)
            allocator.end(block, layout)
          }
        }
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `a request for no bytes answers the dangling address and needs no memory`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      let none = try Layout(size: 0, alignment: 64)
      let ten = try Layout(size: 10, alignment: 8)
      #expect(try allocator.allocate(none).baseAddress == none.dangling)
      #expect(try allocator.allocate(none).count == 0)
      #expect(try allocator.allocate(none, flags: [.zero]).count == 0)
      #expect(type(of: allocator).usableSize(for: none) == 0)
      // Giving it back does nothing, twice, whatever the address.
      allocator.deallocate(none.dangling, none)
      allocator.deallocate(none.dangling, none)
      allocator.deallocate(UnsafeMutableRawPointer(bitPattern: 0xDEAD_BEE1)!, none)
      allocator.deallocateZeroing(none.dangling, none)
      // 0 → 0, 0 → 10, 10 → 0, 0 → 0
      let still = try allocator.reallocate(none.dangling, from: none, to: none)
      #expect(still.count == 0 && still.baseAddress == none.dangling)
      let grown = try allocator.reallocate(none.dangling, from: none, to: ten)
      #expect(grown.count >= 10)
      fill(grown)
      let gone = try allocator.reallocate(grown.baseAddress, from: ten, to: none)
      #expect(gone.count == 0 && gone.baseAddress == none.dangling)
      #expect(try allocator.reallocate(gone.baseAddress, from: none, to: none).count == 0)
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `reallocating nothing allocates, and ignores the old layout`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      let layout = try Layout(size: 50, alignment: 8)
      let block = try allocator.reallocate(
        nil, from: Layout(size: 1 << 30, alignment: 4096), to: layout, flags: [.kernel, .zero])
      #expect(isZero(block))
      allocator.end(block, layout)
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `every block is aligned as asked, and to the minimum at least`(backend: Backend) throws {
    func check<A: Allocator>(_ allocator: A) throws {
      for shift in 0...16 {
        let alignment = 1 << shift
        for size in [1, alignment - 1, alignment, alignment + 1] where size > 0 {
          let layout = try Layout(size: size, alignment: alignment)
          let blocks = try (0..<4).map { _ in try allocator.allocate(layout) }
          for block in blocks {
            #expect(isAligned(block, max(alignment, A.minAlignment)))
            fillFlat(block, UInt8(shift))
          }
          for block in blocks {
            #expect(isFlat(block, UInt8(shift)))
            allocator.end(block, layout)
          }
        }
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases, [128, 8192])
  func `a raised alignment is honoured, and the bytes go along`(backend: Backend, alignment: Int) throws {
    func check(_ allocator: some Allocator) throws {
      // Many blocks, so that one is misaligned for certain; growing, keeping and shrinking the size.
      for newSize in [200, 100, 60] {
        let old = try Layout(size: 100, alignment: 8)
        let new = try Layout(size: newSize, alignment: alignment)
        let blocks = try (0..<16).map { _ in try allocator.allocate(old) }
        for (index, block) in blocks.enumerated() { fill(block, upTo: 100, seed: UInt8(index)) }
        for (index, block) in blocks.enumerated() {
          let moved = try allocator.reallocate(block.baseAddress, from: old, to: new)
          #expect(isAligned(moved, alignment))
          #expect(holds(moved, upTo: min(100, newSize), seed: UInt8(index)))
          // And back to less: the bytes stay.
          let back = try allocator.reallocate(moved.baseAddress, from: new, to: old)
          #expect(holds(back, upTo: min(100, newSize), seed: UInt8(index)))
          allocator.end(back, old)
        }
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `sizes that no memory has are refused, and neither trap nor wrap`(backend: Backend) throws {
    func check<A: Allocator>(_ allocator: A) throws {
      let small = try Layout(size: 100, alignment: 8)
      let block = try allocator.allocate(small)
      fill(block, upTo: 100)
      for size in [Int.max, Int.max - 4095, 1 << 62, Int.max / 2] {
        for alignment in [1, 16, 4096] {
          guard let huge = try? Layout(size: size, alignment: alignment) else { continue }
          #expect(throws: AllocError.self) { try allocator.allocate(huge) }
          #expect(throws: AllocError.self) { try allocator.allocate(huge, flags: [.zero]) }
          #expect(throws: AllocError.self) { try allocator.reallocate(block.baseAddress, from: small, to: huge) }
          #expect(A.usableSize(for: huge) >= size)
        }
      }
      #expect(throws: AllocError.self) { try allocator.allocate(Layout(size: 1, alignment: 1 << 62)) }
      #expect(holds(block, upTo: 100))
      allocator.end(block, small)
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `the usable size is known beforehand, for all sizes up to 16 KiB`(backend: Backend) throws {
    func check<A: Allocator>(_ allocator: A) throws {
      for alignment in [1, 16, 64, 1024, 8192] {
        var last = 0
        for size in 0...16384 {
          let layout = try Layout(size: size, alignment: alignment)
          let usable = A.usableSize(for: layout)
          guard usable >= size, usable >= last else {
            Issue.record("usable size \(usable) after \(last) for \(layout)")
            return
          }
          last = usable
          guard alignment <= 64 || size % 97 == 0 else { continue }
          let block = try allocator.allocate(layout)
          allocator.end(block, layout)
          guard block.count == usable else {
            Issue.record("usable size \(block.count), not \(usable) for \(layout)")
            return
          }
          // Any size up to the usable one is the same block's.
          if size > 0 { #expect(try A.usableSize(for: Layout(size: usable, alignment: alignment)) == usable) }
        }
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `a block can be given back as any size from the one asked for to the usable one`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      for size in [1, 17, 33, 100, 1000, 5000, 33_000] {
        let layout = try Layout(size: size, alignment: 8)
        for given in [\UnsafeMutableRawBufferPointer.count, \.middle] {
          let block = try allocator.allocate(layout)
          fill(block)
          let size = max(size, block[keyPath: given])
          allocator.end(block, try Layout(size: size, alignment: 8))
        }
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `within its size class a block stays where it is`(backend: Backend) throws {
    func check<A: Allocator>(_ allocator: A) throws {
      for size in [20, 100, 1000, 10_000] {
        let layout = try Layout(size: size, alignment: 8)
        let block = try allocator.allocate(layout)
        let whole = try Layout(size: block.count, alignment: 8)
        let grown = try allocator.reallocate(block.baseAddress, from: layout, to: whole)
        #expect(grown.baseAddress == block.baseAddress)
        #expect(grown.count == block.count)
        let shrunk = try allocator.reallocate(grown.baseAddress, from: whole, to: layout)
        #expect(shrunk.baseAddress == block.baseAddress)
        allocator.end(shrunk, layout)
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `reallocating with the zero flag zeroes everything after the common bytes, in place or not`(backend: Backend)
    throws
  {
    func check(_ allocator: some Allocator) throws {
      for (oldSize, newSize) in [(20, 24), (17, 32), (20, 200), (1000, 1001), (1000, 50_000), (200, 100), (200, 200)] {
        let old = try Layout(size: oldSize, alignment: 8)
        let new = try Layout(size: newSize, alignment: 8)
        let block = try allocator.allocate(old)
        fillFlat(block, 0xEE)
        fill(block, upTo: oldSize)
        let grown = try allocator.reallocate(block.baseAddress, from: old, to: new, flags: [.kernel, .zero])
        #expect(holds(grown, upTo: min(oldSize, newSize)))
        #expect(isZero(grown, from: min(oldSize, newSize)))
        allocator.end(grown, new)
      }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `blocks that live at the same time do not overlap`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      var random = SeededRandom.fresh()
      var live: [(block: UnsafeMutableRawBufferPointer, layout: Layout, seed: UInt8)] = []
      for step in 0..<4000 {
        if live.count < 200 && (live.isEmpty || Bool.random(using: &random)) {
          let size = 1 << Int.random(in: 0...13, using: &random) + Int.random(in: 0...9, using: &random)
          let layout = try Layout(size: size, alignment: 1 << Int.random(in: 0...7, using: &random))
          let block = try allocator.allocate(layout)
          fillFlat(block, UInt8(truncatingIfNeeded: step))
          live.append((block, layout, UInt8(truncatingIfNeeded: step)))
        } else {
          let (block, layout, seed) = live.swapRemove(at: Int.random(in: live.indices, using: &random))
          guard isFlat(block, seed) else {
            Issue.record("step \(step): a live block was written to by another; \(random.replay)")
            return
          }
          allocator.end(block, layout)
        }
      }
      for (block, layout, _) in live { allocator.end(block, layout) }
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `a strict node that does not exist is refused, a preferred one is not`(backend: Backend) throws {
    func check(_ allocator: some Allocator) throws {
      let layout = try Layout(size: 100, alignment: 8)
      let nowhere = NumaNode(NodeIndex(1000))
      #expect(throws: AllocError.nodeUnavailable) {
        try allocator.allocate(layout, flags: [.kernel, .thisNode], node: nowhere)
      }
      let block = try allocator.allocate(layout)
      fill(block, upTo: 100)
      #expect(throws: AllocError.nodeUnavailable) {
        try allocator.reallocate(
          block.baseAddress, from: layout, to: Layout(size: 1000, alignment: 8), flags: [.kernel, .thisNode],
          node: nowhere)
      }
      #expect(holds(block, upTo: 100))
      allocator.end(block, layout)
    }
    try check(backend.allocator)
  }

  @Test(arguments: Backend.allCases)
  func `a sensitive free zeroes every usable byte before it gives the block back`(backend: Backend) throws {
    struct Watching<Base: Allocator>: Allocator {
      let base: Base
      static var minAlignment: Int { Base.minAlignment }
      static func usableSize(for layout: Layout) -> Int { Base.usableSize(for: layout) }
      func allocate(
        _ layout: Layout, flags: AllocFlags, node: NumaNode
      ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(layout, flags: flags, node: node)
      }
      func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
        let bytes = UnsafeMutableRawBufferPointer(start: block, count: Self.usableSize(for: layout))
        #expect(isZero(bytes))
        base.deallocate(block, layout)
      }
    }
    func check(_ allocator: some Allocator) throws {
      let layout = try Layout(size: 100, alignment: 8)
      let block = try allocator.allocate(layout)
      fillFlat(block, 0xEE)
      Watching(base: allocator).deallocateZeroing(block.baseAddress!, layout)
    }
    try check(backend.allocator)
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate var middle: Int { count / 2 }
}

extension Array {
  fileprivate mutating func swapRemove(at index: Int) -> Element {
    swapAt(index, count - 1)
    return removeLast()
  }
}
