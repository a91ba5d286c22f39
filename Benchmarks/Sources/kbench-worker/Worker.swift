// A worker: runs workloads on one allocator, on request, so that its parent can interleave the runs of several workers.
//
//   kbench-worker inlined|called|malloc
//
// It first writes the file that `malloc` comes from. Then each line on standard input, `WORKLOAD MILLISECONDS`, is answered by
// one line, `NANOSECONDS OPERATIONS`. The number of operations that fills the time is found at the first request.

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
    var operations: [String: Int] = [:]
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2, let milliseconds = UInt64(words[1]), milliseconds > 0,
        let workload = all.first(where: { $0.name == words[0] })
      else { bench_fail(64, "not a request: \(line)") }
      let count = operations[workload.name] ?? calibrate(workload, milliseconds * 1_000_000)
      operations[workload.name] = count
      answer("\(workload.run(count)) \(count)")
    }
  }

  /// Also the warm-up: runs the workload for about as long as is asked for.
  private static func calibrate(_ workload: Workload, _ nanoseconds: UInt64) -> Int {
    var units = 1
    while true {
      let time = max(workload.run(units * workload.unit), 1)
      if time >= nanoseconds / 4 {
        return max(1, Int(Double(units) * Double(nanoseconds) / Double(time))) * workload.unit
      }
      units *= 2
    }
  }

  private static func answer(_ text: String) {
    print(text)
    fflush(nil)
  }
}
