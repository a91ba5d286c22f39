import Foundation

/// Runs of a real program, each in a process of its own, with the contender's library before the C library: the script
/// `Benchmarks/programs`, by way of `kmeasure`.
struct RealProgram: Subject {
  let contender: Contender

  static let figures = [Figure("time:ms"), Figure("CPU time:ms"), Figure("peak:MiB")]

  private static var script: URL { Program.root.appendingPathComponent("Benchmarks/programs") }
  private static let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("kbench-programs.\(ProcessInfo.processInfo.processIdentifier)")

  /// Those that can run here.
  static let names: [String] = {
    let output = (try? Program.output(script, ["list"])) ?? Data()
    return String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
  }()

  init(_ contender: Contender) throws {
    self.contender = contender
    if FileManager.default.fileExists(atPath: Self.folder.path) { return }
    try FileManager.default.createDirectory(at: Self.folder, withIntermediateDirectories: true)
    _ = try Program.output(Self.script, ["prepare", Self.folder.path])
  }

  /// Removes what the programs worked on.
  static func clean() { try? FileManager.default.removeItem(at: folder) }

  func run(_ workload: PlannedWorkload, milliseconds: Int) throws -> [Double] {
    let kmeasure = Program.folder.appendingPathComponent("kmeasure")
    let name = String(workload.name.dropFirst("program-".count))
    let output = try Program.output(
      kmeasure, [Self.script.path, "run", name, Self.folder.path],
      environment: contender.library.map { ["KBENCH_PRELOAD": $0] } ?? [:])
    let values = String(decoding: output, as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
    guard values.count == 3 else { throw Failure(description: "\(contender.name): no figures for \(name)") }
    return [values[0], values[1], values[2] / 1_048_576]
  }

  func end() {}
}
