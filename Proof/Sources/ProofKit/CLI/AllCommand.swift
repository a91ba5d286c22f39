import ArgumentParser
import Foundation

struct AllCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "all", abstract: "Everything: a table for each proof, and one that sums up (default).")

  @Flag(help: "Little of each, without gdb and peers: under a minute.") var quick = false
  @Option(help: "The folder with libkalloc.so, where it was built.") var malloc = "build"

  mutating func run() throws {
    var summary = Table("proof", "what", "seconds", "verdict")
    var failures: [String] = []
    func prove(_ name: String, _ claim: String, _ body: () throws -> [String]) throws {
      let started = Date()
      let found = try body()
      print("")
      fflush(nil)
      failures += found
      let seconds = Int(Date().timeIntervalSince(started).rounded())
      summary.add(name, claim, "\(seconds)", found.isEmpty ? "held" : "\(found.count) FAILED")
    }
    let short = ["--seconds", quick ? "0.5" : "3"]
    try prove("suspend", "a thread stopped for good blocks nobody and takes no more than its bound with it") {
      try Suspend(options: .parse(["--points", quick ? "3" : "32"])).run()
    }
    try prove("interrupt", "a handler at any instruction of the allocator uses it, and nothing is lost") {
      try Suspend(options: .parse(["--points", quick ? "2" : "16"]), proof: .interrupt).run()
    }
    try prove("nested", "the same, where another handler interrupts the handler") {
      try Suspend(options: .parse(["--points", quick ? "1" : "8"]), proof: .nested).run()
    }
    try prove("park", "threads stopped at random moments under load, all but one, leave that one going") {
      try Park(options: .parse(short)).run()
    }
    try prove("storm", "no operation is lost or done twice, however often it is aborted; retries are bounded") {
      try Storm(options: .parse(short + (quick ? ["--no-gdb"] : []))).run()
    }
    let survival = try SurvivalOptions.parse(
      quick ? short + ["--runs", "1", "--alone"] : ["--seconds", "1", "--runs", "3", "--malloc", malloc])
    try prove("signals", "handlers allocate and free wherever they interrupt the allocator") {
      try Survival(options: survival, kind: .signals).run()
    }
    try prove("signals, nested", "the same, where handlers are interrupted by handlers") {
      var own = survival
      own.only = "KAlloc"
      return try Survival(options: own, kind: .nested).run()
    }
    try prove("fork", "a child of a process with threads frees what it inherited, allocates, and its heap is sound") {
      try Survival(options: survival, kind: .fork).run()
    }
    try prove("stack", "an operation has room on a small alternate stack, in a handler") {
      try StackDepth(options: .parse([])).run()
    }
    try prove("self-test", "what is broken on purpose is found") { try SelfTest.run() }
    print(summary.text)
    try Verdict.end(failures)
  }
}
