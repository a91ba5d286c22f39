import Explorer
import Foundation
import KAllocAtomics
import Mutations
import Scenarios

/// Writes the sources under `from` to `to`, with the seeded faults, which `switches` tells apart. Returns whether all of
/// them fit.
func mutate(from: String, to: String, switches: String) -> Bool {
  let files = FileManager.default
  do {
    guard let paths = files.enumerator(atPath: from) else {
      print("kmodel: no folder \(from)")
      return false
    }
    var edited: Set<String> = []
    for case let path as String in paths where path.hasSuffix(".swift") {
      let target = "\(to)/\(path)"
      try files.createDirectory(
        atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      let text = try mutated(String(contentsOfFile: "\(from)/\(path)", encoding: .utf8), file: path)
      if (try? String(contentsOfFile: target, encoding: .utf8)) != text {
        try text.write(toFile: target, atomically: true, encoding: .utf8)
      }
      edited.insert(path)
    }
    try switches.write(toFile: "\(to)/Mutant.swift", atomically: true, encoding: .utf8)
    // What is gone, or has another name now.
    for case let path as String in files.enumerator(atPath: to) ?? .init()
    where path.hasSuffix(".swift") && path != "Mutant.swift" && !edited.contains(path) {
      try files.removeItem(atPath: "\(to)/\(path)")
    }
    for mutation in allMutations where !edited.contains(mutation.file) {
      print("kmodel: mutation \(mutation.number): no file \(mutation.file)")
      return false
    }
    return true
  } catch {
    print("kmodel: \(error)")
    return false
  }
}

/// Looks for each seeded fault with the scenarios that are to find it. Returns whether all were found.
func runMutants(_ numbers: ArraySlice<String>) -> Bool {
  var survivors: [UInt32] = []
  let wanted = allMutations.filter {
    !$0.scenarios.isEmpty && (numbers.isEmpty || numbers.contains("\($0.number)"))
  }
  if wanted.isEmpty {
    print("kmodel: no fault \(numbers.joined(separator: " "))")
    exit(64)
  }
  for mutation in wanted {
    km_set_mutation(mutation.number)
    if !find(mutation) {
      survivors.append(mutation.number)
      print("\(right(Int(mutation.number), 3))  SURVIVES  \(mutation.summary)")
    }
  }
  km_set_mutation(0)
  print(survivors.isEmpty ? "\(wanted.count) seeded faults, all found" : "not found: \(survivors)")
  return survivors.isEmpty
}

private func find(_ mutation: Mutation) -> Bool {
  for name in mutation.scenarios {
    guard let scenario = allScenarios.first(where: { $0.name == name }), let search = try? Search(scenario) else {
      print("kmodel: mutation \(mutation.number): no scenario \(name)")
      return false
    }
    var left = seconds
    for bound in Bound.all where left > 0 {
      let found = search.explore(bound, seconds: left, shorteningFor: 0.2)
      left -= found.seconds
      if let failure = found.failure {
        print("\(right(Int(mutation.number), 3))  \(padded(name, 22)) \(padded("\(bound)", 4)) \(mutation.summary)")
        print("       \(failure.text)")
        print("       \"\(failure.schedule)\"")
        return true
      }
    }
  }
  return false
}
