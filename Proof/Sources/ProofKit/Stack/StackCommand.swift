import ArgumentParser
import CProof
import Slab

struct StackOptions: ParsableArguments {
  @Option(help: "Only paths whose name contains this.") var path = ""

  var paths: [Path] { get throws { try Path.named(path, in: Path.all + Path.deep) } }
}

struct StackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stack",
    abstract: "How much of its caller's stack an operation writes to, in a handler with a stack of its own.")
  @OptionGroup var options: StackOptions

  mutating func run() throws { try Verdict.end(StackDepth(options: options).run()) }
}

/// Each path in each mode, once, in a signal handler on a painted stack above a guard page.
struct StackDepth {
  let options: StackOptions
  /// Room enough to see how much is too much.
  private static let room = 65536

  /// Prints the table. Returns what failed.
  func run() throws -> [String] {
    // Simulated nodes have a CPU each.
    cp_pin(0, 0)
    defer { cp_pin(0, -1) }
    var table = Table("bytes of stack below the caller's frame", "rseq", "thread", "shared", "verdict")
    var failures: [String] = []
    var most = 0
    for path in try options.paths {
      let depths = try SubjectName.modes.map { mode in
        let preparation = try Preparation(path, mode: mode.mode)
        try path.prepare(preparation)
        let before = preparation.heap.statistics()
        let depth = cp_on_stack(StackDepth.room, path.operate, preparation.operand)
        try path.expectRaised(before, preparation.heap.statistics(), mode.mode)
        if depth == 0 { throw Exit(status: 69, message: "an alternate stack is refused") }
        return Int(depth)
      }
      let deepest = depths.max() ?? 0
      most = max(most, deepest)
      if deepest > Bounds.stack { failures.append("\(path.name): \(deepest) bytes of stack") }
      table.add(
        path.name, depths[0].grouped, depths[1].grouped, depths[2].grouped, deepest > Bounds.stack ? "FAILED" : "ok")
    }
    print(table.text)
    print("stack: \(most.grouped) bytes at most, of \(Bounds.stack.grouped)")
    return failures
  }
}
