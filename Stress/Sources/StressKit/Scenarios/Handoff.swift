import CStress
import Glibc

// Producers and consumers in a circle: worker i allocates, worker i + 1 checks and frees. Each worker stays on one CPU and
// its neighbours on others (where there are others), so every free is remote.
//
//   worker 0 ── ring 0 ──▶ worker 1 ── ring 1 ──▶ … ── ring n−1 ──▶ worker 0
//
// A ring is single-producer, single-consumer: `head` is written by the consumer only, `tail` by the producer only.
// Tail (B) is stored with release after the block was written to its place, and loaded with acquire before it is read;
// head (C) likewise says that a place may be written again. A full ring makes its producer consume instead.

struct Handoff<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]
  private let rings: [Ring]
  private let mix = SizeMix.mixed

  var choicesDependOnAnswers: Bool { true }

  init(_ run: RunContext<Tested>) {
    workers = ScenarioName.handoff.workers(run, count: max(2, run.options.threads), slots: 0)
    rings = workers.map { _ in Ring(capacity: 1024) }
  }

  func begin(_ worker: Worker<Tested>) { _ = cs_pin(Int32(worker.index)) }
  func end(_ worker: Worker<Tested>) { _ = cs_pin(-1) }

  func step(_ worker: Worker<Tested>) {
    let target = worker.random.below(64) + 1
    let ring = rings[worker.index]
    for _ in 0..<target where !ring.isFull {
      let block = worker.allocate(mix.draw(&worker.random))
      if block.exists { ring.push(block) }
    }
    if consume(worker, atMost: 64) == 0, ring.isFull { sched_yield() }
  }

  func drain(_ worker: Worker<Tested>) { _ = consume(worker, atMost: .max) }

  func forEachLive(_ body: (Block) -> Void) { rings.forEach { $0.forEach(body) } }

  private func consume(_ worker: Worker<Tested>, atMost limit: Int) -> Int {
    let ring = rings[(worker.index + workers.count - 1) % workers.count]
    var count = 0
    while count < limit, let block = ring.pop() {
      worker.free(block)
      count += 1
    }
    return count
  }

  /// A bounded queue of blocks from one thread to one other.
  final class Ring: Sendable {
    private let capacity: Int
    private let blocks: MappedArray<Block>
    private let ends = MappedArray<UInt64>(count: 16)  // head in one cache line, tail in another
    private var head: UnsafeMutablePointer<UInt64> { ends.base }
    private var tail: UnsafeMutablePointer<UInt64> { ends.base + 8 }

    init(capacity: Int) {
      self.capacity = capacity
      blocks = MappedArray(count: capacity)
    }

    deinit {
      blocks.unmap()
      ends.unmap()
    }

    /// For the producer. The tail is its own: relaxed.
    var isFull: Bool { cs_load_relaxed(tail) - cs_load_acquire(head) == UInt64(capacity) }  // (C) acquire

    func push(_ block: Block) {
      let place = cs_load_relaxed(tail)
      blocks[Int(place % UInt64(capacity))] = block
      cs_store_release(tail, place + 1)  // (B) release
    }

    /// For the consumer. The head is its own: relaxed.
    func pop() -> Block? {
      let place = cs_load_relaxed(head)
      guard place != cs_load_acquire(tail) else { return nil }  // (B) acquire
      let block = blocks[Int(place % UInt64(capacity))]
      cs_store_release(head, place + 1)  // (C) release
      return block
    }

    /// While both ends are at rest.
    func forEach(_ body: (Block) -> Void) {
      for place in cs_load_acquire(head)..<cs_load_acquire(tail) { body(blocks[Int(place % UInt64(capacity))]) }
    }
  }
}
