// An allocator that watches another: every live block by address with its layout, counts of the operations, and a
// plan to fail the n-th request. A free or reallocation of anything else than one of its live blocks, or with a layout
// that is not the block's, is recorded as a violation and not passed on.

import KAlloc
import Synchronization

public struct TrackingAllocator<Base: Allocator>: Allocator {
  public let base: Base
  public let log: AllocationLog

  public init(_ base: Base) {
    self.base = base
    log = AllocationLog()
  }

  public static var minAlignment: Int { Base.minAlignment }

  public static func usableSize(for layout: Layout) -> Int { Base.usableSize(for: layout) }

  public func allocate(
    _ layout: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    if log.failsNow(.allocation, layout) { throw .injected }
    let block = try base.allocate(layout, flags: flags, node: node)
    log.gave(block, layout)
    return block
  }

  public func deallocate(_ block: UnsafeMutableRawPointer, _ layout: Layout) {
    if log.tookBack(block, layout, usable: Base.usableSize(for: layout)) { base.deallocate(block, layout) }
  }

  public func reallocate(
    _ block: UnsafeMutableRawPointer?, from old: Layout, to new: Layout, flags: AllocFlags, node: NumaNode
  ) throws(AllocError) -> UnsafeMutableRawBufferPointer {
    guard let block, old.size > 0 else { return try allocate(new, flags: flags, node: node) }
    let usable = Base.usableSize(for: old)
    if log.failsNow(.reallocation, new) { throw .injected }
    guard log.tookBack(block, old, usable: usable, counting: false) else { throw .injected }
    do {
      let answer = try base.reallocate(block, from: old, to: new, flags: flags, node: node)
      log.gave(answer, new)
      return answer
    } catch {
      log.gave(UnsafeMutableRawBufferPointer(start: block, count: usable), old)
      throw error
    }
  }
}

/// What a ``TrackingAllocator`` has seen.
public final class AllocationLog: Sendable {
  public enum Operation: Sendable { case allocation, reallocation }

  struct Block {
    var usable: Int
    var alignment: Int
  }

  struct State {
    var live: [UInt: Block] = [:]
    var allocations = 0
    var reallocations = 0
    var frees = 0
    var emptyRequests = 0
    var countdown: Int?
    var failsEverything = false
    var injections = 0
    var violations: [String] = []
  }

  let state = Mutex(State())

  init() {}

  /// Live blocks.
  public var live: Int { state.withLock { $0.live.count } }
  /// Requests of some size for a new block, failed ones included.
  public var allocations: Int { state.withLock { $0.allocations } }
  /// Requests of some size for another size of a block, failed ones included.
  public var reallocations: Int { state.withLock { $0.reallocations } }
  /// Blocks taken back.
  public var frees: Int { state.withLock { $0.frees } }
  /// Calls with a layout of size 0.
  public var emptyRequests: Int { state.withLock { $0.emptyRequests } }
  /// Requests of any kind, size 0 included, and frees.
  public var calls: Int { state.withLock { $0.allocations + $0.reallocations + $0.frees + $0.emptyRequests } }
  /// Requests that failed because they were told to.
  public var injections: Int { state.withLock { $0.injections } }
  /// Frees and reallocations of what is no live block, or of a live one by a wrong layout.
  public var violations: [String] { state.withLock { $0.violations } }

  /// Makes the `n`-th request of some size from now on fail, 1 being the next; one only.
  public func fail(nth n: Int) { state.withLock { $0.countdown = n } }

  /// Makes all requests of some size fail, or no more of them.
  public func failEverything(_ on: Bool) { state.withLock { $0.failsEverything = on } }

  /// Ends a plan of ``fail(nth:)``; whether it was still waiting.
  @discardableResult
  public func cancelPlan() -> Bool {
    state.withLock { state in
      defer { state.countdown = nil }
      return state.countdown != nil
    }
  }

  func failsNow(_ operation: Operation, _ layout: Layout) -> Bool {
    state.withLock { state in
      guard layout.size > 0 else { return false }
      switch operation {
      case .allocation: state.allocations += 1
      case .reallocation: state.reallocations += 1
      }
      var fails = state.failsEverything
      if let countdown = state.countdown {
        state.countdown = countdown > 1 ? countdown - 1 : nil
        fails = fails || countdown == 1
      }
      if fails { state.injections += 1 }
      return fails
    }
  }

  func gave(_ block: UnsafeMutableRawBufferPointer, _ layout: Layout) {
    state.withLock { state in
      guard layout.size > 0 else { return state.emptyRequests += 1 }
      let address = UInt(bitPattern: block.baseAddress)
      if state.live[address] != nil { state.violations.append("a live address was given out again") }
      if block.count < layout.size { state.violations.append("a block is smaller than its layout") }
      if address % UInt(layout.alignment) != 0 { state.violations.append("a block is not aligned") }
      state.live[address] = Block(usable: block.count, alignment: layout.alignment)
    }
  }

  /// Whether the block may be given back with this layout.
  func tookBack(_ block: UnsafeMutableRawPointer, _ layout: Layout, usable: Int, counting: Bool = true) -> Bool {
    state.withLock { state in
      guard layout.size > 0 else {
        state.emptyRequests += 1
        return false
      }
      let address = UInt(bitPattern: block)
      guard let known = state.live[address] else {
        state.violations.append("not a live block of this allocator: \(layout)")
        return false
      }
      guard known.usable == usable && known.alignment == layout.alignment else {
        state.violations.append("the layout \(layout) is not that of the block, \(known)")
        return false
      }
      state.live[address] = nil
      if counting { state.frees += 1 }
      return true
    }
  }
}
