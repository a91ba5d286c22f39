import Foundation

/// One thing that is measured of a workload. Less is better.
struct Figure: Codable, Equatable {
  let name, unit: String

  init(_ text: some StringProtocol) {
    let parts = String(text).split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    name = parts[0]
    unit = parts.count > 1 ? parts[1] : ""
  }

  /// Workers measure time in nanoseconds.
  var scale: Double { unit.hasPrefix("ms") ? 1e6 : 1 }
}

/// A workload, as its workers list it, and who runs it.
struct PlannedWorkload {
  let family, name: String
  let figures: [Figure]
  /// Whether each run has a process of its own.
  let isFresh: Bool
  var contenders: [Contender] = []

  func subject(_ contender: Contender) throws -> Subject {
    switch family {
    case Replay.family: Replay(allocator: contender == .inlined ? "kalloc" : "system", library: contender.library)
    case Replay.emptyFamily: Replay(allocator: "planned", library: nil)
    case "programs": try RealProgram(contender)
    default: try Worker(contender)
    }
  }

  /// Every workload of the contenders, in the order of the workers' tables, then the replays and the programs.
  static func all(_ contenders: [Contender]) throws -> [PlannedWorkload] {
    var all: [PlannedWorkload] = []
    for contender in contenders {
      let listing = try Program.output(Worker.program, [contender.allocator, "--list"])
      for line in String(decoding: listing, as: UTF8.self).split(separator: "\n") {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        let name = String(fields[1])
        if !all.contains(where: { $0.name == name }) {
          all.append(
            PlannedWorkload(
              family: String(fields[0]), name: name, figures: fields[2].split(separator: ";").map { Figure($0) },
              isFresh: fields[3] == "fresh"))
        }
        all[all.firstIndex { $0.name == name } ?? 0].contenders.append(contender)
      }
    }
    let replaying = contenders.filter { $0 == .inlined || $0.allocator == "malloc" }
    return all
      + Replay.traces.map { trace in
        PlannedWorkload(
          family: Replay.family, name: "replay-\(trace)", figures: Replay.figures, isFresh: true, contenders: replaying)
      }
      + Replay.traces.map { trace in
        PlannedWorkload(
          family: Replay.emptyFamily, name: "empty-replay-\(trace)", figures: Replay.figures, isFresh: true,
          contenders: contenders.filter { $0 == .inlined })
      }
      + RealProgram.names.map { name in
        PlannedWorkload(
          family: "programs", name: "program-\(name)", figures: RealProgram.figures, isFresh: true,
          contenders: contenders.filter { $0.allocator == "malloc" })
      }
  }
}
