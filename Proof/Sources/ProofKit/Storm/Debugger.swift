import ArgumentParser
import CProof
import Foundation
import Slab

/// Single-stepping by gdb: every restartable sequence is aborted at every step, so operations must come to an end by other means.
enum Debugger {
  /// Operations that are stepped through.
  static let operations = 8

  /// Returns what failed.
  static func run() throws -> [String] {
    guard
      let gdb = ["/usr/bin/gdb", "/usr/local/bin/gdb"].first(where: FileManager.default.isExecutableFile(atPath:))
    else {
      print("gdb: not installed, left out (make bootstrap installs it)")
      return []
    }
    var failures: [String] = []
    for mode in SubjectName.modes {
      let started = cp_nanoseconds()
      let run = try Run(gdb, script(mode), quiet: true, limit: 120)
      let reached = run.lines.filter { $0.contains("Breakpoint 2") && !$0.contains(" at 0x") }.count
      let ended = run.lines.contains { $0.contains("exited normally") }
      let seconds = Double(cp_nanoseconds() - started) / 1e9
      if run.outcome == .survived && reached == operations && ended {
        print(
          "gdb, \(mode.rawValue): stepped through \(operations) operations to their ends,",
          "and the books balance (\(Int(seconds.rounded())) s)")
      } else {
        failures.append(
          "gdb, \(mode.rawValue): \(run.outcome.word), \(reached) of \(operations) operations ended, "
            + (run.lines.last { !$0.isEmpty } ?? "no output"))
      }
    }
    return failures
  }

  /// `stepi` goes on to the breakpoint at an operation's end, or gives up after so many instructions.
  private static func script(_ mode: SubjectName) -> [String] {
    var commands = ["set confirm off", "set pagination off", "break *cp_mark_begin", "break *cp_mark_end", "run"]
    for _ in 0..<operations { commands += ["stepi 1000000", "continue"] }
    return ["-nx", "-batch"] + commands.flatMap { ["-ex", $0] } + ["--args", Program.path, "debuggee", mode.rawValue]
  }
}

/// Runs operations one after the other between two marks, then looks at the books.
struct DebuggeeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debuggee", abstract: "What the debugger steps through.", shouldDisplay: false)
  @Argument var mode: SubjectName

  mutating func run() throws {
    let subject = try HeapSubject(mode: mode.mode, threads: 1)
    let heap = subject.heap
    // Warm for 64 bytes; the other sizes are new.
    let held = heap.allocate(size: 64)
    if let spare = heap.allocate(size: 64) { heap.deallocate(spare, size: 64) }
    let hit = Debuggee.stepped { heap.allocate(size: 64) }
    Debuggee.stepped { if let hit { heap.deallocate(hit, size: 64) } }
    let opened = Debuggee.stepped { heap.allocate(size: 1024) }
    Debuggee.stepped { if let opened { heap.deallocate(opened) } }
    let large = Debuggee.stepped { heap.allocate(size: 100_000) }
    Debuggee.stepped { if let large { heap.deallocate(large, size: 100_000) } }
    let pages = Debuggee.stepped { try? heap.allocatePages(order: 2) }
    Debuggee.stepped { if let pages { heap.deallocatePages(pages, order: 2) } }
    guard let held, hit != nil, opened != nil, large != nil, pages != nil else { throw Exit.failed("no memory") }
    heap.deallocate(held, size: 64)
    let code = subject.checkEmpty()
    if code != 0 { throw Exit.failed("the books do not balance: \(code)") }
  }
}

private enum Debuggee {
  @inline(never)
  static func stepped<Result>(_ operation: () -> Result) -> Result {
    cp_mark_begin()
    let result = operation()
    cp_mark_end()
    return result
  }
}
