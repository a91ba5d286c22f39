// Schedules as text, and following one.
//
//     a12.1 b3 a4      thread a runs 12 operations, the last of which takes its way 1 (a load: the value before the
//                      newest); then b runs 3, then a runs 4, then everybody runs to the end, in order
//
// Operations are all atomic operations of a thread, barriers and system calls, whether or not the search found them worth
// a choice: a schedule keeps its meaning when the search learns.

public struct Schedule: Equatable, CustomStringConvertible {
  public let steps: [Step]

  public init(_ steps: [Step]) {
    // Steps of one thread without a choice between them are one.
    var merged: [Step] = []
    for step in steps where step.operations > 0 {
      if let last = merged.last, last.thread == step.thread, last.choice == 0 {
        merged[merged.count - 1].operations += step.operations
        merged[merged.count - 1].choice = step.choice
      } else {
        merged.append(step)
      }
    }
    self.steps = merged
  }

  public init?(_ text: String) {
    var steps: [Step] = []
    for word in text.split(whereSeparator: { $0 == " " || $0 == "," }) {
      guard let first = word.utf8.first, (97..<101).contains(first) else { return nil }
      let parts = word.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
      guard let operations = parts.first.flatMap({ Int($0) }), operations > 0, parts.count <= 2 else { return nil }
      var choice = 0
      if parts.count == 2 {
        guard let way = Int(parts[1]), way > 0 else { return nil }
        choice = way
      }
      steps.append(Step(thread: Int(first) - 97, operations: operations, choice: choice))
    }
    self.steps = steps
  }

  public var description: String {
    steps.map { "\(letter($0.thread))\($0.operations)\($0.choice > 0 ? ".\($0.choice)" : "")" }.joined(separator: " ")
  }
}

/// Before each operation of a replayed execution.
func followReplay() {
  let m = machine
  if m.pointee.replayLeft > 0 { return }
  guard m.pointee.replayIndex < m.pointee.replay.count else {
    m.pointee.replayLeft = .max
    return
  }
  let step = m.pointee.replay[m.pointee.replayIndex]
  m.pointee.replayIndex += 1
  m.pointee.replayLeft = step.operations
  if step.thread == m.pointee.current { return }
  if step.thread >= m.pointee.threadCount || m.pointee.threads[step.thread].finished {
    fail("the schedule does not fit: a thread that cannot run")
  }
  run(step.thread)
}

/// After a thread of a replayed execution has ended: whoever the schedule names, if it names somebody.
func finishReplay() {
  let m = machine
  guard m.pointee.replayIndex < m.pointee.replay.count else {
    m.pointee.replayLeft = .max
    return
  }
  let step = m.pointee.replay[m.pointee.replayIndex]
  m.pointee.replayIndex += 1
  m.pointee.replayLeft = step.operations
  if step.thread >= m.pointee.threadCount || m.pointee.threads[step.thread].finished {
    fail("the schedule does not fit: a thread that cannot run")
  }
  run(step.thread)
}
