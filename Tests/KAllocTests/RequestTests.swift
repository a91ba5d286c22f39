import KAlloc
import Slab
import Testing

@Suite struct RequestTests {
  @Test func `flags are a set that keeps unknown bits`() {
    let unknown = AllocFlags(rawValue: 1 << 31)
    #expect(unknown.rawValue == 1 << 31 && !unknown.isEmpty)
    let flags: AllocFlags = [.zero, .reclaim, unknown]
    #expect(flags.contains(.zero) && !flags.contains(.thisNode))
    #expect(flags.subtracting(.zero) == [.reclaim, unknown])
    #expect(flags.intersection([unknown, .noWarn]) == unknown)
    #expect(flags.union(.noWarn).rawValue == flags.rawValue | AllocFlags.noWarn.rawValue)
    #expect(AllocFlags(rawValue: 0) == .noWait)
    #expect(AllocFlags.noWait.isEmpty)
  }

  @Test func `the presets say what may be waited for`() {
    #expect(AllocFlags.kernel.contains(.reclaim))
    #expect(!AllocFlags.noWait.contains(.reclaim) && !AllocFlags.atomic.contains(.reclaim))
    #expect(AllocFlags.atomic.contains(.useReserve) && !AllocFlags.kernel.contains(.useReserve))
  }

  @Test func `errors are told apart and are one byte`() {
    #expect(AllocError.outOfMemory != .invalidLayout)
    #expect(MemoryLayout<AllocError>.size == 1)
  }

  @Test func `any node is no node`() {
    #expect(NumaNode.any.nodeIndex == nil)
    #expect(NumaNode(NodeIndex(3)).nodeIndex == NodeIndex(3))
    #expect(NumaNode(NodeIndex(0)) != .any)
  }
}
