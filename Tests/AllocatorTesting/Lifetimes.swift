// Values that are counted from their making to their end, so that a test can say "exactly once".

import Synchronization

/// Counts live values and the ends of each.
public final class Lifetimes: Sendable {
  struct State {
    var live: [Int: Int] = [:]
    var ended: [Int] = []
    var violations: [String] = []
  }

  let state = Mutex(State())

  public init() {}

  /// The number of values that have begun and not ended.
  public var live: Int { state.withLock { $0.live.values.reduce(0, +) } }
  /// The names of those that ended, in order.
  public var ended: [Int] { state.withLock { $0.ended } }
  /// Ends of values that were not live.
  public var violations: [String] { state.withLock { $0.violations } }

  /// A value of this name begins.
  public func begin(_ name: Int) { state.withLock { $0.live[name, default: 0] += 1 } }

  /// A value of this name ends.
  public func end(_ name: Int) {
    state.withLock { state in
      if state.live[name, default: 0] == 0 { state.violations.append("\(name) ended twice") }
      state.live[name, default: 0] -= 1
      state.ended.append(name)
    }
  }
}

/// A noncopyable value with a name. It is larger than a register, so that moving it moves bytes.
public struct Counted: ~Copyable, Sendable {
  public let name: Int
  let lifetimes: Lifetimes
  let check: Int

  public init(_ name: Int, _ lifetimes: Lifetimes) {
    self.name = name
    self.lifetimes = lifetimes
    check = ~name
    lifetimes.begin(name)
  }

  deinit {
    precondition(check == ~name, "Counted: these bytes hold no value")
    lifetimes.end(name)
  }
}

/// A copyable value with a name: copies share an object that ends with the last of them.
public struct CountedCopy: Sendable {
  final class Core: Sendable {
    let counted: Counted
    init(_ counted: consuming Counted) { self.counted = counted }
  }

  let core: Core

  public init(_ name: Int, _ lifetimes: Lifetimes) { core = Core(Counted(name, lifetimes)) }

  public var name: Int { core.counted.name }
}
