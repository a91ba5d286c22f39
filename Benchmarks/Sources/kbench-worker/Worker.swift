// A worker: runs workloads on one allocator, on request, so that its parent can interleave the runs of several workers.
//
//   kbench-worker inlined|called|malloc
//
// It first writes the file that `malloc` comes from. Then each line on standard input, `WORKLOAD MILLISECONDS`, is answered by
// one line, `NANOSECONDS OPERATIONS`. The number of operations that fills the time follows from the fastest run so far; the
// first request of a workload warms up.

import CBench
import Glibc

@main
enum Worker {
  static func main() {
    let all: [Workload]
    switch CommandLine.arguments.dropFirst() {
    case ["inlined"]: all = workloads(Inlined.self)
    case ["called"]: all = workloads(Called.self)
    case ["malloc"]: all = workloads(Malloc.self)
    default: bench_fail(64, "usage: kbench-worker inlined|called|malloc")
    }
    answer(String(cString: bench_malloc_library()))
    var fastest: [String: Double] = [:]
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2, let milliseconds = Double(words[1]), milliseconds >= 1,
        let workload = all.first(where: { $0.name == words[0] })
      else { bench_fail(64, "not a request: \(line)") }
      let wanted = milliseconds * 1_000_000
      let expected = fastest[workload.name] ?? warmUp(workload, wanted)
      let operations = max(1, Int(wanted / expected) / workload.unit) * workload.unit
      let time = workload.run(operations)
      fastest[workload.name] = min(expected, Double(max(time, 1)) / Double(operations))
      answer("\(time) \(operations)")
    }
  }

  /// Runs a workload for about as long as is asked for; the nanoseconds per operation of the fastest run.
  private static func warmUp(_ workload: Workload, _ wanted: Double) -> Double {
    var fastest = Double.infinity
    var operations = workload.unit
    var spent = 0.0
    while spent < wanted {
      let time = Double(max(workload.run(operations), 1))
      fastest = min(fastest, time / Double(operations))
      spent += time
      operations *= 2
    }
    return fastest
  }

  private static func answer(_ text: String) {
    print(text)
    fflush(nil)
  }
}
