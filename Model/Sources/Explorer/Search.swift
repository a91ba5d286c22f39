// Exploration: depth first, by replaying from the start.
//
//     execution 1     a a a b b b          choices taken: 0 0 0 …
//     execution 2     a a b …              the deepest choice with a way left takes the next one; after it, way 0
//
// Three things keep it short, and none of them leaves anything out (within the bound, and but for hash collisions):
//
// Choices only at shared words. A word is private until two threads are found at it, one of them writing, whom acquire
// and release do not order; then the exploration begins again with that word as a point of choice. When an exploration
// ends without such a discovery, accesses of any other word come in one order only, whatever the order of threads.
//
// States are met once. Before each operation on a shared word the state is hashed: what every thread has read (its own
// state is a function of that), clocks, messages, plain memory by who wrote it when, blocks owned. Two orders of
// independent operations lead to equal states, so an order is explored once: this does the work of partial-order
// reduction, and is compatible with bounds. A state counts as met only where it was met with as much budget left.
//
// Bounds grow. First no preemption, then one, …; a preemption is a change of threads that the program did not force, and
// a stale read one that finds another message than the newest. Most faults need few of either (Musuvathi and Qadeer,
// "Iterative context bounding", PLDI 2007). The last bounds are none: where they complete, everything that the memory
// model allows has been seen.

import KAllocAtomics

/// How much an execution may deviate.
public struct Bound: Equatable, Sendable, CustomStringConvertible {
  public let preemptions: Int
  public let staleReads: Int

  public init(_ preemptions: Int, _ staleReads: Int) {
    self.preemptions = preemptions
    self.staleReads = staleReads
  }

  public var description: String {
    func text(_ number: Int) -> String { number == .max ? "∞" : String(number) }
    return "\(text(preemptions))/\(text(staleReads))"
  }

  /// In the order in which they are explored.
  public static let all = [
    Bound(0, 0), Bound(1, 0), Bound(0, 1), Bound(1, 1), Bound(2, 1), Bound(3, 1), Bound(.max, 0), Bound(.max, 1),
    Bound(3, 2), Bound(.max, 2), Bound(.max, .max),
  ]
}

public struct Failure {
  public let text: String
  public let schedule: Schedule
  public let operations: Int
}

/// What exploring one bound has shown.
public struct Exploration {
  public let bound: Bound
  /// Executions that ran to the end, and those that met a known state.
  public var completed = 0
  public var pruned = 0
  public var states = 0
  public var operations = 0
  public var sharedWords = 0
  public var seconds = 0.0
  /// Whether nothing within the bound is left.
  public var isExhausted = false
  public var failure: Failure? = nil
}

nonisolated(unsafe) private var world = World()

/// Where simulated threads begin.
@_cdecl("km_thread_main")
func threadMain() {
  if machine.pointee.isChecking {
    world.check()
    leave(.completed)
  }
  world.threads[machine.pointee.current]()
  finish()
}

/// A scenario ready to be explored.
public final class Search {
  public let scenario: Scenario
  private let started = ContinuousClock.now

  public init(_ scenario: Scenario) throws {
    self.scenario = scenario
    prepareMachine()
    km_set_mode(UInt32(KM_IMMEDIATE))
    km_clear_arena()
    let m = machine
    m.pointee.locations = Table()
    m.pointee.cells = Table()
    m.pointee.saved.removeAll()
    m.pointee.blocks.removeAll()
    m.pointee.arenaNext = UInt(KM_ARENA_BASE)
    m.pointee.cpuLimit = 3
    m.pointee.commitMayFail = false
    m.pointee.barriersAllowed = .max
    m.pointee.migrates = false
    m.pointee.preparingCPU = 0
    m.pointee.usesFences = false
    m.pointee.current = 0
    // What is seeded is to be found by the threads: it may not spoil the state that they begin in.
    let mutation = km_mutation
    km_set_mutation(0)
    defer { km_set_mutation(mutation) }
    world = try scenario.make()
    m.pointee.preparingCPU = 0
    m.pointee.threadCount = world.threads.count
    m.pointee.initialBlocks.removeAll()
    for index in 0..<m.pointee.blocks.count { m.pointee.initialBlocks.append(m.pointee.blocks[index]) }
  }

  /// Explores everything within `bound`, until `seconds` have passed.
  public func explore(_ bound: Bound, seconds: Double, shorteningFor: Double = 2) -> Exploration {
    let m = machine
    let start = ContinuousClock.now
    var deadline = start.advanced(by: .seconds(seconds))
    var result = Exploration(bound: bound)
    m.pointee.isReplaying = false
    restart()
    while true {
      execute(bound)
      result.operations += m.pointee.operations
      switch m.pointee.outcome {
      case .discovery:
        restart()
        continue
      case .failed:
        if result.failure == nil { deadline = min(deadline, ContinuousClock.now.advanced(by: .seconds(shorteningFor))) }
        let found = failure()
        if result.failure.map({ isShorter(found, than: $0) }) ?? true { result.failure = found }
      case .pruned: result.pruned += 1
      default: result.completed += 1
      }
      if !backtrack() {
        result.isExhausted = true
        break
      }
      if (result.completed + result.pruned) & 63 == 0 && ContinuousClock.now > deadline { break }
    }
    result.states = m.pointee.visited.count
    for index in 0..<m.pointee.locations.all.count where m.pointee.locations.all[index].pointee.isShared {
      result.sharedWords += 1
    }
    let passed = start.duration(to: .now)
    result.seconds = Double(passed.components.seconds) + Double(passed.components.attoseconds) * 1e-18
    return result
  }

  /// Runs one schedule. Returns the trace, and how it failed.
  public func replay(_ schedule: Schedule) -> (trace: [String], failure: Failure?) {
    let m = machine
    m.pointee.isReplaying = true
    m.pointee.replay.removeAll()
    for step in schedule.steps { m.pointee.replay.append(step) }
    execute(Bound(.max, .max))
    let trace = render(m.pointee.events.array) { address in self.name(of: address) }
    return (trace, m.pointee.outcome == .failed ? failure() : nil)
  }

  private func name(of address: UInt) -> String {
    for name in world.names {
      if let found = name(address) { return found }
    }
    return "word \(String(address, radix: 16))"
  }

  private func failure() -> Failure {
    let m = machine
    var text = "\(m.pointee.failure)"
    if m.pointee.hasDetail { text += " \(String(m.pointee.failureDetail, radix: 16))" }
    if text.hasPrefix("the allocator reports") {
      text += ": " + String(cString: m.pointee.report).split(separator: "\n").joined()
    }
    let steps = m.pointee.isReplaying ? m.pointee.replay.array : m.pointee.steps.array
    return Failure(text: text, schedule: Schedule(steps), operations: m.pointee.operations)
  }

  private func isShorter(_ one: Failure, than other: Failure) -> Bool {
    (one.schedule.steps.count, one.operations) < (other.schedule.steps.count, other.operations)
  }

  private func restart() {
    machine.pointee.choices.removeAll()
    machine.pointee.visited.removeAll()
  }

  /// The next choices; false: there are none left.
  private func backtrack() -> Bool {
    let m = machine
    while m.pointee.choices.count > 0 {
      var last = m.pointee.choices.last
      if last.chosen + 1 < last.options {
        last.chosen += 1
        m.pointee.choices[m.pointee.choices.count - 1] = last
        return true
      }
      m.pointee.choices.removeLast()
    }
    return false
  }

  private func execute(_ bound: Bound) {
    let m = machine
    restoreMemory()
    m.pointee.epoch += 1
    m.pointee.operations = 0
    m.pointee.barriersMade = 0
    m.pointee.depth = 0
    m.pointee.prefix = m.pointee.isReplaying ? 0 : m.pointee.choices.count
    m.pointee.preemptions = bound.preemptions
    m.pointee.staleReads = bound.staleReads
    m.pointee.steps.removeAll()
    m.pointee.stepStart = 0
    m.pointee.replayIndex = 0
    m.pointee.replayLeft = 0
    m.pointee.hasYielded = false
    m.pointee.events.removeAll()
    m.pointee.blocks.removeAll()
    for index in 0..<m.pointee.initialBlocks.count { m.pointee.blocks.append(m.pointee.initialBlocks[index]) }
    m.pointee.ranges.removeAll()
    m.pointee.plainHash = 0
    m.pointee.locationHash = 0
    m.pointee.fenceClock = .zero
    m.pointee.isChecking = false
    m.pointee.outcome = .running
    for thread in 0..<Machine.maximumThreads {
      m.pointee.threads[thread] = Thread(stack: km_new_stack(UInt32(thread)))
      m.pointee.threads[thread].cpu = thread < world.cpus.count ? world.cpus[thread] : thread
      // What a thread does before its first operation has a time, too.
      m.pointee.threads[thread].clock[thread] = 1
      m.pointee.cpuClocks[thread] = .zero
    }
    m.pointee.current = 0
    if m.pointee.isReplaying {
      if m.pointee.replay.count > 0 { m.pointee.current = m.pointee.replay[0].thread }
    } else if m.pointee.threadCount > 1 {
      m.pointee.current = choose(m.pointee.threadCount)
    }
    enter(KM_RUNNING, m.pointee.threads[m.pointee.current].stack.unsafelyUnwrapped)
    if m.pointee.outcome == .completed {
      m.pointee.isChecking = true
      enter(KM_LOGGED, km_new_stack(UInt32(Machine.maximumThreads)))
    }
  }

  private func enter(_ mode: Int, _ stack: UnsafeMutableRawPointer) {
    km_set_mode(UInt32(mode))
    km_set_guarded(true)
    km_switch(&machine.pointee.explorerStack, stack)
  }
}
