import ArgumentParser
import CProof
import Foundation
import Slab

/// The program: parses its arguments, runs a subcommand, and ends with its status.
///
/// Status: 0 everything held · 1 something did not · 64 bad arguments · 69 the machine does not offer what is needed.
public enum Program {
  public static func main() -> Never {
    do {
      var command = try KProof.parseAsRoot()
      try command.run()
      exit(0)
    } catch let failure as Exit {
      if !failure.message.isEmpty { complain(failure.message) }
      exit(failure.status)
    } catch let error as AllocError {
      complain("the machine has no room for a heap (\(error)); is its address space limited (ulimit -v)?")
      exit(69)
    } catch {
      let status = KProof.exitCode(for: error)
      if status == .success {
        print(KProof.fullMessage(for: error))
        exit(0)
      }
      complain(KProof.message(for: error).split(separator: "\n").first.map(String.init) ?? "\(error)")
      exit(status == .validationFailure ? 64 : status.rawValue)
    }
  }

  /// Where this program is: what runs in a process of its own is another one of it.
  static let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path

  static func complain(_ message: String) {
    FileHandle.standardError.write(Data("kproof: \(message)\n".utf8))
  }
}

/// Ends the program with a status and, unless it is empty, one line on standard error.
struct Exit: Error {
  var status: Int32
  var message = ""

  static func badArgument(_ message: String) -> Exit { Exit(status: 64, message: message) }
  static func failed(_ message: String) -> Exit { Exit(status: 1, message: message) }

  /// Throws where an option's value is none of those that it takes.
  static func check<Value: Comparable>(_ option: String, _ value: Value, _ values: ClosedRange<Value>) throws {
    if values.contains(value) { return }
    throw badArgument("\(option) takes \(values.lowerBound) to \(values.upperBound), not \(value)")
  }

  /// The same for a time in seconds.
  static func check(_ option: String, seconds: Double, upTo most: Double) throws {
    if seconds > 0, seconds <= most { return }
    throw badArgument("\(option) takes seconds above 0, up to \(most), not \(seconds)")
  }
}

/// How a command ends.
enum Verdict {
  static func end(_ failures: [String]) throws {
    if failures.isEmpty { return }
    failures.dropLast().forEach(Program.complain)
    throw Exit.failed(failures.last ?? "")
  }
}

struct KProof: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kproof",
    abstract: "Puts KAlloc's promises to the test: stopped threads, storms of aborts, signals, fork.",
    subcommands: [
      AllCommand.self, SuspendCommand.self, InterruptCommand.self, ParkCommand.self, StormCommand.self,
      SignalsCommand.self, ForkCommand.self, StackCommand.self, SelfTestCommand.self, RunCommand.self,
      DebuggeeCommand.self,
    ],
    defaultSubcommand: AllCommand.self)
}
