// The command: kmodel list | run | replay. See `kmodel` without arguments.

import Explorer
import KAllocAtomics
import Mutations
import Scenarios

let usage = """
  kmodel list                              the scenarios
  kmodel run [NAME…] [--seconds N] [--shard I/N] [--mutation N]
                                           explores them, each for at most N seconds (default 20); a name may end in *;
                                           of N shards, only every N-th scenario from the I-th on
  kmodel replay NAME "SCHEDULE" [--mutation N]
                                           runs one schedule and prints what happens

  kmodel mutate SLAB DIR [--environment]   writes a copy of the sources of Slab that holds the seeded faults; for a build
                                           of the library, where KALLOC_FAULT=N switches one on
  kmodel mutants [N…] [--seconds N]        in a build of that copy: looks for each fault

  A schedule is what a failing run prints: "a12.1 b3" is 12 operations of thread a, the last of which finds the value
  before the newest, then 3 of thread b, then everybody to the end.
  """

setvbuf(stdout, nil, _IOLBF, 0)
var words = Array(CommandLine.arguments.dropFirst())
let seconds = number("--seconds", 20, in: 0.001...1e6)
let mutation = UInt32(number("--mutation", 0, in: 0...1000))
let shard = (option("--shard") ?? "1/1").split(separator: "/").compactMap { Int($0) }
guard shard.count == 2, shard[0] >= 1, shard[0] <= shard[1] else {
  print("kmodel: --shard I/N, with I from 1 to N")
  exit(64)
}
let isTerse = flag("--terse")
let inEnvironment = flag("--environment")
prepareMachine()
km_set_mutation(mutation)

switch words.first {
case "list": list()
case "run": exit(run(selected(words.dropFirst())) ? 0 : 1)
case "mutate" where words.count == 3:
  exit(
    mutate(from: words[1], to: words[2], switches: inEnvironment ? environmentMutantFile : mutantFile) ? 0 : 1)
case "mutants": exit(runMutants(words.dropFirst()) ? 0 : 1)
case "replay" where words.count == 3: exit(replay(words[1], words[2]) ? 0 : 1)
default:
  print(usage)
  exit(64)
}

func number(_ name: String, _ fallback: Double, in range: ClosedRange<Double>) -> Double {
  guard let text = option(name) else { return fallback }
  guard let value = Double(text), range.contains(value) else {
    print("kmodel: \(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
    exit(64)
  }
  return value
}

func option(_ name: String) -> String? {
  guard let place = words.firstIndex(of: name), place + 1 < words.count else { return nil }
  defer { words.removeSubrange(place...place + 1) }
  return words[place + 1]
}

func flag(_ name: String) -> Bool {
  guard let place = words.firstIndex(of: name) else { return false }
  words.remove(at: place)
  return true
}
