import CStress

/// Where a run is: for the progress line, and for the last word of a process that crashes. Concurrent.
final class Position: Sendable {
  struct Place: Sendable {
    var scenario = "start"
    var phase = 0
    var phases = 0
    /// Of a soak; 0 in any other run.
    var round = 0
    var interrupted = false
    var stalled = false
  }
  private let place = Guarded(Place())

  var now: Place { place.withLock { $0 } }
  var isInterrupted: Bool { now.interrupted }
  var isStalled: Bool { now.stalled }

  func enter(_ name: ScenarioName, phase: Int, of phases: Int, command: String) {
    place.withLock { ($0.scenario, $0.phase, $0.phases) = (name.rawValue, phase, phases) }
    cs_crash_message(
      "\nkstress: crashed in scenario \(name.rawValue), phase \(phase) of \(phases)\n  again: \(command)\n")
  }
  func enterRound(_ round: Int) { place.withLock { $0.round = round } }
  func interrupt() { place.withLock { $0.interrupted = true } }
  func setStalled() { place.withLock { $0.stalled = true } }
}
