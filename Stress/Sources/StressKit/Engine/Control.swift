import CStress

/// The words through which the coordinator and the workers see each other while a phase runs. Concurrent.
///
/// Flags only go up during a phase and carry no data: relaxed is enough, because a worker that sees one late only does
/// one step more, and everything that the coordinator reads afterwards it reads after having joined the workers.
final class Control: Sendable {
  static let maximumWorkers = 1024
  private static let firstWorker = 5
  private static let stride = 8  // words in a cache line: no worker's counter slows another's

  private let words = MappedArray<UInt64>(count: (maximumWorkers + firstWorker) * stride)
  private let phaseOver = 0
  private let stopped = 1
  private let refusable = 2
  private let roundNumber = 3
  private let earlier = 4

  /// Operations by worker and CPU, each written by its worker only. CPUs beyond the last share its words.
  static let countedCPUs = 64
  private let byCPU = MappedArray<UInt64>(count: maximumWorkers * countedCPUs)

  deinit {
    words.unmap()
    byCPU.unmap()
  }

  /// One more operation of a worker, on the CPU that it is on now.
  @inline(__always)
  func countOnCPU(worker: Int) {
    let word = byCPU.base + (worker * Self.countedCPUs + min(Int(cs_cpu()), Self.countedCPUs - 1))
    cs_store_relaxed(word, cs_load_relaxed(word) &+ 1)
  }

  /// Operations of all workers so far on each CPU, up to the highest that any was on.
  var operationsByCPU: [Int] {
    var sums = [Int](repeating: 0, count: Self.countedCPUs)
    for index in 0..<byCPU.count { sums[index % Self.countedCPUs] += Int(cs_load_relaxed(byCPU.base + index)) }
    return Array(sums.prefix((sums.lastIndex { $0 > 0 } ?? -1) + 1))
  }

  private func word(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    precondition(index < words.count / Self.stride)
    return words.base + index * Self.stride
  }

  /// Whether workers are to end their phase now: its time is up, or the run is stopped.
  var isPhaseOver: Bool { cs_load_relaxed(word(phaseOver)) != 0 }
  /// Whether the run is to end: interrupted, or failed.
  var isStopped: Bool { cs_load_relaxed(word(stopped)) != 0 }
  /// Whether a refused request is part of the scenario.
  var mayRefuse: Bool { cs_load_relaxed(word(refusable)) != 0 }

  /// How often the scenarios have been made before, in a soak. Only between phases.
  var round: Int { Int(cs_load_relaxed(word(roundNumber))) }
  func beginRound(_ number: Int) { cs_store_relaxed(word(roundNumber), UInt64(number)) }

  func beginPhase() { cs_store_relaxed(word(phaseOver), isStopped ? 1 : 0) }
  func endPhase() { cs_store_relaxed(word(phaseOver), 1) }
  func setMayRefuse(_ value: Bool) { cs_store_relaxed(word(refusable), value ? 1 : 0) }

  func stop() {
    cs_store_relaxed(word(stopped), 1)
    endPhase()
  }

  @inline(__always)
  func setProgress(worker: Int, _ operations: Int) {
    cs_store_relaxed(word(Self.firstWorker + worker), UInt64(operations))
  }

  /// Operations of all workers of the scenario that runs, a moment ago.
  var progress: Int {
    (0..<Self.maximumWorkers).reduce(0) { $0 &+ Int(truncatingIfNeeded: cs_load_relaxed(word(Self.firstWorker + $1))) }
  }

  /// Of all scenarios so far.
  var progressInAll: Int { Int(truncatingIfNeeded: cs_load_relaxed(word(earlier))) &+ progress }

  /// Between scenarios.
  func clearProgress() {
    cs_store_relaxed(word(earlier), UInt64(progressInAll))
    for worker in 0..<Self.maximumWorkers { setProgress(worker: worker, 0) }
  }
}
