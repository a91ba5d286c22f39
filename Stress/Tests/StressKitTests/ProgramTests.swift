import Foundation
import Testing

@testable import StressKit

/// What a run of the built program did.
private struct Ended {
  var status: Int32
  var output: String
  var errors: String
}

/// The folder of the built program: the one that holds this test bundle.
private let products = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
  .deletingLastPathComponent()

/// `kibibytes` limits its address space.
private func program(
  _ arguments: [String], interruptAfter seconds: Double? = nil, environment: [String: String] = [:],
  addressSpace kibibytes: Int? = nil
) throws -> Ended {
  let process = Process()
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kstress-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let (output, errors) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
  for file in [output, errors] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
  process.executableURL = products.appendingPathComponent("kstress")
  process.arguments = arguments
  if let kibibytes {
    let command = "ulimit -v \(kibibytes); exec \"$0\" \"$@\""
    process.arguments = ["-c", command, products.appendingPathComponent("kstress").path] + arguments
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
  }
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  process.standardOutput = try FileHandle(forWritingTo: output)
  process.standardError = try FileHandle(forWritingTo: errors)
  try process.run()
  if let seconds {
    Thread.sleep(forTimeInterval: seconds)
    kill(process.processIdentifier, SIGINT)
  }
  process.waitUntilExit()
  return Ended(
    status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
    errors: try String(contentsOf: errors, encoding: .utf8))
}

@Suite(.serialized) struct ProgramTests {
  /// Command lines, words separated by spaces, and the status that each must end with.
  private static let badInput: [Int32: [String]] = [
    64: [
      "--threads 0", "--threads many", "run --threads 513", "--seconds -1", "--seconds nan", "--seconds inf",
      "--seed -1", "--seed 18446744073709551616", "--mode fast", "--nodes 0", "--nodes 65", "--limit 1", "--limit 12Q",
      "--limit 99999999999G", "--operations 0", "--scenario churn,", "--scenario nothing", "--allocator none",
      "--refuse 1", "--hours 0", "--hours 1001", "--hours 1 --operations 5", "--hours 1 --seconds 5", "--unknown",
      "jump", "replay",
      "replay --rounds 0 x", "replay --on none x", "--json=", "--limit +64M",
    ],
    65: ["replay /etc/passwd"],
    66: ["replay /dev/null", "replay /nonexistent", "replay /", "list /nonexistent"],
    73: [
      "--json /nonexistent/report", "--json /", "--json /sys/report",
      "--html /nonexistent/page", "--html /", "--html /sys/page",
    ],
  ]

  @Test(arguments: badInput.flatMap { status, lines in lines.map { ($0, status) } })
  func `bad input gives one line and a status`(_ line: String, _ status: Int32) throws {
    let ended = try program(line.split(separator: " ").map(String.init))
    #expect(ended.status == status, "\(ended.errors)")
    #expect(ended.output.isEmpty)
    #expect(ended.errors.hasPrefix("kstress: "))
    #expect(ended.errors.split(separator: "\n", omittingEmptySubsequences: false).count == 2, "\(ended.errors)")
  }

  @Test func `a run that has too little address space is refused before it begins`() throws {
    for (kibibytes, threads) in [(500_000, 4), (3_000_000, 4), (4_000_000, 200)] {
      let ended = try program(["--seconds", "1", "--threads", "\(threads)"], addressSpace: kibibytes)
      #expect(ended.status == 69, "\(ended.errors)")
      #expect(ended.errors.hasPrefix("kstress: the address space is limited to \(kibibytes >> 10) MiB"))
    }
    let ended = try program(["--seconds", "0.2", "--scenario", "churn"], addressSpace: 3_300_000)
    #expect(ended.status == 0, "\(ended.errors)")
  }

  @Test func `a trace that keeps more live than there is memory is not replayed`() throws {
    var builder = TraceBuilder()
    builder.malloc(64)
    builder.realloc(1, 1 << 46)
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).katrace")
    try builder.data().write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let ended = try program(["replay", file.path])
    #expect(ended.status == 65)
    #expect(ended.errors.contains("byte 40: 67108864 MiB live at most"))
  }

  @Test func `an interrupted run reports and ends with 130`() throws {
    let ended = try program(
      ["--allocator", "system", "--seconds", "60", "--threads", "2", "--scenario", "churn"], interruptAfter: 1.5)
    #expect(ended.status == 130, "\(ended.errors)")
    #expect(ended.output.hasPrefix("kstress: interrupted"))
    #expect(ended.output.contains("= 0 live"))
  }

  @Test func `a run writes its report as text and as JSON`() throws {
    let json = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: json) }
    let ended = try program([
      "--allocator", "system", "--operations", "300", "--threads", "2", "--scenario", "churn,pages", "--seed", "5",
      "--json", json.path,
    ])
    #expect(ended.status == 0, "\(ended.errors)")
    for part in ["kstress: passed", "p99.99", "operations", "seed", "peak resident", "verified"] {
      #expect(ended.output.contains(part), "\(part)")
    }
    let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: json))
    #expect(report.options.seed == 5)
    #expect(report.books.allocated > 0)
    #expect(report.scenarios.map(\.name) == ["churn", "pages"])
    #expect(report.scenarios.allSatisfy { $0.choices != nil })
  }

  @Test func `a replay compares the allocators`() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).katrace")
    defer { try? FileManager.default.removeItem(at: file) }
    try TraceBuilder.busy(seed: 8).data().write(to: file)
    let ended = try program(["replay", "--rounds", "1", file.path])
    #expect(ended.status == 0, "\(ended.errors)")
    for name in AllocatorName.replayed { #expect(ended.output.contains("  \(name.rawValue) ")) }
    #expect(ended.output.contains("ns/event"))
    let cut = try Data(contentsOf: file).dropLast(9)
    try cut.write(to: file)
    let refused = try program(["replay", file.path])
    #expect(refused.status == 65)
    #expect(refused.errors.contains("byte \(cut.count): truncated"))
  }

  @Test func `what is not a terminal gets no escapes and few lines`() throws {
    let ended = try program(["--allocator", "system", "--seconds", "1", "--scenario", "churn"])
    #expect(!ended.errors.contains("\u{1B}") && !ended.errors.contains("\r"))
    #expect(ended.errors.split(separator: "\n").count <= 2)
  }

  @Test func `a recording of a program can be replayed`() throws {
    let stress = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
      .standardizedFileURL
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).katrace")
    defer { try? FileManager.default.removeItem(at: file) }
    let record = Process()
    record.executableURL = stress.appendingPathComponent("Recorder/record")
    record.arguments = ["--output", file.path, "--", "ls", "-lR", stress.appendingPathComponent("Sources").path]
    record.standardError = FileHandle.nullDevice
    record.standardOutput = FileHandle.nullDevice
    // The sanitizers' runtime wants to be the first library of a process; it is not wanted in the recorded one.
    record.environment = ProcessInfo.processInfo.environment.filter { $0.key != "LD_PRELOAD" }
    try record.run()
    record.waitUntilExit()
    #expect(record.terminationStatus == 0)
    let trace = try Trace(file: file.path)
    defer { trace.unmap() }
    #expect(trace.header.events > 50)
    #expect(trace.header.isFinished)
    #expect(ReplayChild.measure(ReplaySteps(trace, serial: false), on: FaultyAllocator(fault: .none)).failure == nil)
  }
}
