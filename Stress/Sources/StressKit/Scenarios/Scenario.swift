// A scenario: workers, what each of them does in one step, and how everything is given back.
//
// The runner calls `step` on each worker's thread until the phase is over, checks the books and the allocator while all
// are at rest, and goes on to the next phase with the blocks that are still live; at the end it calls `drain` on each.

/// Something that a run does to the allocator.
protocol Scenario<Tested>: Sendable {
  associatedtype Tested: AllocatorUnderTest

  var workers: [Worker<Tested>] { get }
  var crew: Crew { get }
  /// Whether what a worker chooses depends on what the allocator answers or on the other workers.
  var choicesDependOnAnswers: Bool { get }

  func beforePhase()
  /// On the worker's thread, before its first step of a phase.
  func begin(_ worker: Worker<Tested>)
  func step(_ worker: Worker<Tested>)
  /// On the worker's thread, after its last step of a phase.
  func end(_ worker: Worker<Tested>)
  func afterPhase()

  /// Gives back what this worker answers for.
  func drain(_ worker: Worker<Tested>)
  /// Every live block, while all workers are at rest.
  func forEachLive(_ body: (Block) -> Void)
}

extension Scenario {
  var crew: Crew { .queues }
  var choicesDependOnAnswers: Bool { false }
  func beforePhase() {}
  func begin(_ worker: Worker<Tested>) {}
  func end(_ worker: Worker<Tested>) {}
  func afterPhase() {}

  func drain(_ worker: Worker<Tested>) {
    for slot in 0..<worker.slots.count where worker.slots[slot].exists {
      let block = worker.slots[slot]
      worker.slots[slot] = .none
      worker.free(block)
    }
  }

  func forEachLive(_ body: (Block) -> Void) {
    for worker in workers {
      for slot in 0..<worker.slots.count where worker.slots[slot].exists { body(worker.slots[slot]) }
    }
  }
}

/// The scenarios by name, in the order in which a run makes them.
enum ScenarioName: String, CaseIterable, Sendable {
  case churn, handoff, burst, pages, boxes, exhaustion, faults, threads, oversubscription, onecpu, trim, heaps

  var summary: String {
    switch self {
    case .churn: "mixed sizes, alignments, zeroed and resized blocks, in no order, each thread on its own"
    case .handoff: "producer to consumer: every block is freed by another thread, on another CPU"
    case .burst: "thousands of blocks at once, given back in order, in reverse, or scattered"
    case .pages: "page blocks of all orders, straight from the page level"
    case .boxes: "boxes and vectors: typed values that are made, moved, grown and dropped"
    case .exhaustion: "up to a hard limit and over it: refusals change nothing, and what is freed can be had again"
    case .faults:
      "refusals at random points: the limit moves up and down under all workers, and they refuse by themselves"
    case .threads: "threads that come, allocate and go; their blocks are freed by later ones"
    case .oversubscription: "64 threads on the cores there are, preempted anywhere"
    case .onecpu: "all threads on one CPU, so that they share its caches and are preempted inside them"
    case .trim: "churn while another thread trims, reads the statistics, and creates and destroys heaps"
    case .heaps:
      "heaps of one mode or of several, which the same threads begin on at once, and end, while others do so, too"
    }
  }

  func make<Tested>(_ run: RunContext<Tested>) -> any Scenario<Tested> {
    switch self {
    case .churn: Churn(run, name: self, workers: run.options.threads, mix: .mixed)
    case .handoff: Handoff(run)
    case .burst: Burst(run)
    case .pages: Pages(run)
    case .boxes: Boxes(run)
    case .exhaustion: Exhaustion(run)
    case .faults: Faults(run)
    case .threads: ThreadChurn(run)
    case .oversubscription: Churn(run, name: self, workers: max(64, run.options.threads), mix: .small)
    case .onecpu: OneCPU(run)
    case .trim: TrimWhileRunning(run)
    case .heaps: ScratchHeaps(run)
    }
  }

  /// Workers for this scenario; streams of choices differ from scenario to scenario.
  func workers<Tested>(_ run: RunContext<Tested>, count: Int, slots: Int) -> [Worker<Tested>] {
    let stream = ScenarioName.allCases.firstIndex(of: self)! + 1
    return (0..<count).map {
      Worker(run: run, scenario: rawValue, stream: stream, index: $0, slots: slots)
    }
  }

  static func parse(_ text: String) -> Self? { Self(rawValue: text) }
}
