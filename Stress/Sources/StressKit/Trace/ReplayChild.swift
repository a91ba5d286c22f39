import CStress
import Foundation

// One replay in a process of its own, so that its peak memory is its own; and what the parent makes of several.

/// What one child measured.
struct ReplayResult: Codable, Equatable, Sendable {
  var allocator: String
  var nanoseconds: UInt64
  var cpuNanoseconds: UInt64
  /// Resident memory at most, less what was resident before the first event (the trace, its tables, the program).
  var peakBytes: UInt64
  var failure: String?
}

enum ReplayChild {
  /// Replays in this process.
  static func measure(_ steps: ReplaySteps, on allocator: some AllocatorUnderTest) -> ReplayResult {
    let replayer = Replayer(allocator, steps)
    defer { replayer.unmap() }
    replayer.warm()
    let committed = allocator.committedBytes
    // An allocator has been used before, as the C library's has: what its beginning takes is none of the replay's.
    if let block = allocator.allocate(size: 64, alignment: 16, zeroed: false) {
      allocator.deallocate(block, size: 64, alignment: 16)
    }
    resetPeak()
    let resident = cs_resident_bytes()
    let cpu = cs_cpu_time()
    let start = cs_now()
    var failure = replayer.replay()
    let nanoseconds = cs_now() - start
    let cpuNanoseconds = cs_cpu_time() - cpu
    let peak = cs_peak_resident_bytes()
    failure = failure ?? replayer.giveBack() ?? allocator.validate().map { "validate: \($0)" }
    _ = allocator.trim()
    if failure == nil, let committed, let end = allocator.committedBytes, end > committed {
      failure = "\(end) bytes are committed after everything was given back; \(committed) before"
    }
    return ReplayResult(
      allocator: allocator.name, nanoseconds: nanoseconds, cpuNanoseconds: cpuNanoseconds,
      peakBytes: peak > resident ? peak - resident : 0, failure: failure)
  }

  /// The peak counts from now (Linux 4.0 and later; elsewhere the decoder's own peak is counted too).
  private static func resetPeak() {
    guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
    try? file.write(contentsOf: Data("5".utf8))
    try? file.close()
  }

  enum Problem: Error { case cannotStart(String), died(Int32), noResult }

  /// Runs this program again as a child that replays `file` on one allocator.
  static func run(_ file: String, on allocator: String, serial: Bool, mode: String?) throws -> ReplayResult {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = ["replay", "--child", "--on", allocator] + (serial ? ["--serial"] : []) + ["--", file]
    if let mode { child.environment = ProcessInfo.processInfo.environment.merging(["KALLOC_MODE": mode]) { $1 } }
    let output = Pipe()
    child.standardOutput = output
    do { try child.run() } catch { throw Problem.cannotStart("\(error)") }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    child.waitUntilExit()
    guard child.terminationReason == .exit, child.terminationStatus <= 1 else {
      throw Problem.died(child.terminationStatus)
    }
    guard let result = try? JSONDecoder().decode(ReplayResult.self, from: data) else { throw Problem.noResult }
    return result
  }
}
