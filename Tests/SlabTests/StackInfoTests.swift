import KAllocAtomics
import Testing

@testable import Slab

/// F67 and F77: the layout of a CPU's region and of the depots.
@Suite struct `Stack layout` {
  static let all: [StackInfo] = {
    var infos: [StackInfo] = []
    for index in 0..<StackIndex.count { infos.append(StackInfo(StackIndex(rawValue: index), after: infos.last)) }
    return infos
  }()

  @Test func `arrays follow each other and end inside the region`() {
    var end = CPURegion.arraysOffset
    for info in Self.all {
      #expect(info.arrayOffset == end)
      end += info.capacity * 8
    }
    #expect(end <= CPURegion.bytes)
  }

  @Test func `stacks stand behind the counters and before the arrays`() {
    #expect((CPURegion.counters + 1) * 8 <= Int(KA_STACKS_OFFSET))
    for info in Self.all {
      let offset = CPURegion.offset(info.stack)
      #expect(offset >= Int(KA_STACKS_OFFSET))
      #expect(offset + Int(KA_STACK_BYTES) <= CPURegion.arraysOffset)
      #expect(offset % Int(KA_STACK_BYTES) == 0)
    }
  }

  @Test func `magazines follow each other, the first of each stack before all others`() {
    var end = 0
    for info in Self.all {
      #expect(info.magazinesBefore == end)
      if info.stack.runClass == nil { end += info.magazineBytes }
      #expect(info.magazinesThrough == end)
    }
  }

  @Test func `N is 16 KiB of objects, 256 at most, and 16 where they are not more than 128 KiB; 2 at least`() {
    for info in Self.all where info.stack.sizeClass != nil {
      #expect(info.batch == min(max(16384 / info.objectBytes, min(131_072 / info.objectBytes, 16), 2), 256))
    }
  }

  @Test func `a stack is 512 KiB of objects, of which 8192 are small or 512 are not, and two magazines at least`() {
    for info in Self.all where info.stack.sizeClass != nil {
      #expect(info.capacity == min(524_288 / info.objectBytes, info.objectBytes <= 64 ? 8192 : 512))
      #expect(info.capacity >= 2 * info.batch)
    }
  }

  @Test func `the arrays of a CPU fit into its region`() {
    let last = Self.all[Self.all.count - 1]
    #expect(last.arrayOffset + last.capacity * 8 <= CPURegion.bytes)
  }

  @Test func `pages have stacks of their own, for orders 0 to 3`() {
    for order in 0..<4 {
      let info = Self.all[SizeClass.count + order]
      #expect(info.stack.sizeClass == nil)
      #expect(info.stack.pageOrder == order)
      #expect(info.objectBytes == 4096 << order)
      #expect(info.batch << order == 256, "a magazine is a MiB of frames")
    }
  }

  @Test func `what a CPU can hold back is bounded`() {
    let bytes = Self.all.reduce(0) { $0 + $1.capacity * $1.objectBytes }
    #expect(bytes <= 40 << 20)
  }

  @Test(arguments: 2...Topology.maximumNodes)
  func `outgoing stacks fit into a region, or there are none`(nodes: Int) {
    let outgoing = HeapState.Outgoing(nodeCount: nodes)
    guard outgoing.capacity >= 2 else {
      #expect(nodes > 62)
      return
    }
    #expect(nodes > 41 || outgoing.capacity == 32)
    var ranges: [Range<Int>] = []
    for home in 0..<nodes {
      for stack in 0..<StackIndex.withDepot {
        let (stack, home) = (StackIndex(rawValue: stack), NodeIndex(home))
        let words = outgoing.offset(stack, home)
        let array = outgoing.arrayOffset(stack, home)
        ranges.append(words..<words + Int(KA_STACK_BYTES))
        ranges.append(array..<array + outgoing.capacity * 8)
      }
    }
    ranges.sort { $0.lowerBound < $1.lowerBound }
    #expect(ranges[0].lowerBound >= (CPURegion.counters + 1) * 8)
    for (left, right) in zip(ranges, ranges.dropFirst()) where left.upperBound > right.lowerBound {
      Issue.record("\(left) and \(right) overlap")
    }
    #expect(ranges.last!.upperBound <= CPURegion.bytes)
  }
}
