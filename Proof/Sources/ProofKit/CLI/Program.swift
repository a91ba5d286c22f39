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
