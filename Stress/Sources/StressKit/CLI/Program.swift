import ArgumentParser
import Foundation

/// The program: parses its arguments, runs a subcommand, and ends with its status.
///
/// Status: 0 all is well · 1 a check failed · 64 bad arguments · 65 a bad trace · 66 a file that cannot be read ·
/// 69 the machine does not offer what was asked for · 73 a file that cannot be written · 130 interrupted.
public enum Program {
  /// An ordinary function: nothing that it starts belongs to the main actor.
  public static func main() -> Never {
    do {
      var command = try KStress.parseAsRoot()
      try command.run()
      exit(0)
    } catch let failure as Exit {
      if !failure.message.isEmpty { complain(failure.message) }
      exit(failure.status)
    } catch {
      end(error)
    }
  }

  /// Help goes to standard output; anything wrong is one line and status 64.
  private static func end(_ error: any Error) -> Never {
    let status = KStress.exitCode(for: error)
    if status == .success {
      print(KStress.fullMessage(for: error))
      exit(0)
    }
    let message = KStress.message(for: error).split(separator: "\n").first.map(String.init) ?? "\(error)"
    complain(message)
    exit(status == .validationFailure ? 64 : status.rawValue)
  }

  /// Ends the program at once, from any thread, where the machine does not give the program itself what it needs.
  static func lacks(_ what: String) -> Never {
    complain("the machine does not offer \(what); is its address space limited (ulimit -v)?")
    _exit(69)
  }

  static func complain(_ message: String) {
    FileHandle.standardError.write(Data("kstress: \(message)\n".utf8))
  }
}

/// Ends the program with a status and, unless it is empty, one line on standard error.
struct Exit: Error {
  var status: Int32
  var message = ""

  static func badArgument(_ message: String) -> Exit { Exit(status: 64, message: message) }
}

struct KStress: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kstress",
    abstract: "Runs many threads against the KAlloc allocator and verifies every block.",
    subcommands: [RunCommand.self, ReplayCommand.self, ListCommand.self], defaultSubcommand: RunCommand.self)
}
