import Synchronization

/// What a check found wrong.
struct Failure: Codable, Equatable, Sendable {
  enum Kind: String, Codable, Sendable {
    case content, overlap, ownership, alignment, zeroing, usableSize, refusal, conservation, limit, structure
    case leftover, scratchHeap, affinity, growth, stalled
  }
  var kind: Kind
  var what: String
  var scenario = ""
  var phase = 0
  var worker: Int?

  var place: String {
    "scenario \(scenario), phase \(phase)" + (worker.map { ", worker \($0)" } ?? ", between phases")
  }
}

/// Keeps the first few failures of a run. Concurrent.
final class FailureLog: Sendable {
  static let kept = 8
  private let failures = Guarded<[Failure]>([])
  private let count = Atomic<Int>(0)

  // Relaxed: an early look; readers of the list take the mutex.
  var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }
  var all: [Failure] { failures.withLock { $0 } }
  var total: Int { count.load(ordering: .relaxed) }

  func add(_ failure: Failure) {
    count.wrappingAdd(1, ordering: .relaxed)
    failures.withLock { if $0.count < Self.kept { $0.append(failure) } }
  }
}
