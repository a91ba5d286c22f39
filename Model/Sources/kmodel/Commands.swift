import Explorer
import Scenarios

#if canImport(Glibc)
  @_exported import Glibc
#endif

func list() {
  for scenario in allScenarios { print("\(padded(scenario.name, 28)) \(scenario.summary)") }
}

/// The scenarios that `patterns` name; all where there are none.
func selected(_ patterns: ArraySlice<String>) -> [Scenario] {
  if patterns.isEmpty { return allScenarios }
  var result: [Scenario] = []
  for pattern in patterns {
    let found = allScenarios.filter { scenario in
      pattern.hasSuffix("*") ? scenario.name.hasPrefix(pattern.dropLast()) : scenario.name == pattern
    }
    if found.isEmpty {
      print("kmodel: no scenario \(pattern)")
      exit(64)
    }
    result += found
  }
  return result
}

/// Explores scenarios bound by bound; the first failure of each ends it. Returns whether all passed.
func run(_ scenarios: [Scenario]) -> Bool {
  var failed: [String] = []
  if !isTerse {
    print("scenario                     bound  executions     states  words    ops/exec   seconds")
  }
  let mine = scenarios.enumerated().filter { $0.offset % shard[1] == shard[0] - 1 }.map(\.element)
  for scenario in mine where !runOne(scenario) { failed.append(scenario.name) }
  if isTerse { return failed.isEmpty }
  print(failed.isEmpty ? "\(mine.count) scenarios, no fault" : "failed: \(failed.joined(separator: " "))")
  return failed.isEmpty
}

private func runOne(_ scenario: Scenario) -> Bool {
  let explorer: Search
  do {
    explorer = try Search(scenario)
  } catch {
    print("\(scenario.name): cannot be made: \(error)")
    return false
  }
  var left = seconds
  var done: Exploration? = nil
  var executions = 0
  var operations = 0
  for bound in Bound.all where left > 0 {
    let found = explorer.explore(bound, seconds: left)
    left -= found.seconds
    executions += found.completed + found.pruned
    operations += found.operations
    if let failure = found.failure {
      report(scenario, bound, failure, explorer)
      return false
    }
    if found.isExhausted { done = found }
  }
  if isTerse { return true }
  let average = executions == 0 ? 0 : operations / executions
  print(
    padded(scenario.name, 28), padded(done.map { "\($0.bound)" } ?? "none", 6), right(executions, 10),
    right(done?.states ?? 0, 10), right(done?.sharedWords ?? 0, 6), right(average, 11),
    right(tenths(seconds - left), 9))
  return true
}

private func report(_ scenario: Scenario, _ bound: Bound, _ failure: Failure, _ explorer: Search) {
  print("\(scenario.name) FAILS with bound \(bound): \(failure.text)")
  print("  kmodel replay \(scenario.name) \"\(failure.schedule)\"" + (mutation == 0 ? "" : " --mutation \(mutation)"))
  if isTerse { return }
  let (trace, again) = explorer.replay(failure.schedule)
  for line in trace { print("    \(line)") }
  if again?.text != failure.text { print("  the replay ended otherwise: \(again?.text ?? "no failure")") }
}

/// Runs one schedule. Returns whether nothing failed.
func replay(_ name: String, _ text: String) -> Bool {
  guard let scenario = allScenarios.first(where: { $0.name == name }), let schedule = Schedule(text) else {
    print("kmodel: no such scenario, or no schedule")
    exit(64)
  }
  do {
    let (trace, failure) = try Search(scenario).replay(schedule)
    for line in trace { print(line) }
    print(failure.map { "FAILS: \($0.text)" } ?? "ends without a fault")
    return failure == nil
  } catch {
    print("\(name): cannot be made: \(error)")
    return false
  }
}

func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}
func right(_ number: Int, _ width: Int) -> String { right(String(number), width) }
func right(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}
private func tenths(_ seconds: Double) -> String {
  let rounded = Int((seconds * 10).rounded())
  return "\(rounded / 10).\(rounded % 10)"
}
