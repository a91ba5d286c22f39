import ArgumentParser

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the scenarios and allocators, or say what traces contain.")

  @Argument(help: "Traces to look at.") var traces: [String] = []

  func run() throws {
    guard traces.isEmpty else {
      for file in traces { print("\(file): \(try ReplayCommand.load(file).header.description)") }
      return
    }
    print("scenarios")
    for name in ScenarioName.allCases { print("  " + name.rawValue.padded(18) + name.summary) }
    print("allocators")
    for name in AllocatorName.allCases { print("  " + name.rawValue.padded(18) + name.summary) }
  }
}
