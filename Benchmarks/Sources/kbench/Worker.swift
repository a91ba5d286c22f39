import Foundation

/// A contender that is asked for figures, again and again.
protocol Subject {
  func run(_ workload: PlannedWorkload, milliseconds: Int) throws -> [Double]
  func end()
}

/// A worker process of one contender. It waits, using no CPU, between the requests.
final class Worker: Subject {
  private let contender: Contender
  private let process = Process()
  private let requests = Pipe()
  private let answers = Pipe()
  private var unread = Data()

  static var program: URL { Program.folder.appendingPathComponent("kbench-worker") }

  init(_ contender: Contender) throws {
    self.contender = contender
    process.executableURL = Self.program
    process.arguments = [contender.allocator]
    process.standardInput = requests
    process.standardOutput = answers
    process.environment = Program.environment(preloading: contender.library)
    try process.run()
    let loaded = try answer()
    if let library = contender.library {
      let wanted = URL(fileURLWithPath: library).resolvingSymlinksInPath().path
      guard URL(fileURLWithPath: loaded).resolvingSymlinksInPath().path == wanted else {
        throw Failure(description: "\(contender.name): malloc comes from \(loaded), not from \(library)")
      }
    }
  }

  /// The workload's figures, over about `milliseconds` where it is timed.
  func run(_ workload: PlannedWorkload, milliseconds: Int) throws -> [Double] {
    try requests.fileHandleForWriting.write(contentsOf: Data("\(milliseconds) \(workload.name)\n".utf8))
    let values = try answer().split(separator: " ").compactMap { Double($0) }
    guard values.count == workload.figures.count else {
      throw Failure(description: "\(contender.name): no figures for \(workload.name)")
    }
    return values
  }

  func end() {
    try? requests.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  private func answer() throws -> String {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: unread[..<end], as: UTF8.self)
        unread.removeSubrange(...end)
        return line
      }
      let more = answers.fileHandleForReading.availableData
      guard !more.isEmpty else { throw Failure(description: "the worker of \(contender.name) ended") }
      unread.append(more)
    }
  }
}

/// Replays of a recorded program, each in a process of its own, by the stress tests' `kstress replay`.
struct Replay: Subject {
  static let family = "replay"
  /// Replays without an allocator: each block's place is known beforehand. What no allocator can be much below.
  static let emptyFamily = "empty-replay"
  static let families = [family, emptyFamily]
  static let figures = [Figure("time:ms"), Figure("peak above the start:MiB")]

  /// As `kstress replay --on` calls it.
  let allocator: String
  let library: String?

  static var program: URL { Program.root.appendingPathComponent("Stress/.build/release/kstress") }
  private static var folder: URL { Program.root.appendingPathComponent("Stress/Traces") }

  /// The traces that there are; none where `kstress` was not built.
  static var traces: [String] {
    guard FileManager.default.isExecutableFile(atPath: program.path) else { return [] }
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".katrace") }.map { String($0.dropLast(8)) }.sorted()
  }

  private struct Result: Decodable {
    let nanoseconds, peakBytes: Double
  }

  func run(_ workload: PlannedWorkload, milliseconds: Int) throws -> [Double] {
    let trace = workload.name.dropFirst(workload.family.count + 1)
    let file = Self.folder.appendingPathComponent(trace + ".katrace").path
    let output = try Program.output(
      Self.program, ["replay", "--child", "--on", allocator, "--", file], preloading: library)
    let result = try JSONDecoder().decode(Result.self, from: output)
    return [result.nanoseconds, result.peakBytes / 1_048_576]
  }

  func end() {}
}
