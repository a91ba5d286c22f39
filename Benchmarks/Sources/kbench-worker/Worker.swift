// A worker: runs workloads on one allocator, on request, so that its parent can interleave the runs of several workers.
//
//   kbench-worker ALLOCATOR --list    prints its workloads, one a line: family, name, figures, `fresh` or `kept`
//   kbench-worker ALLOCATOR           answers requests
//
// It first writes the file that `malloc` comes from. Then each line on standard input, `MILLISECONDS NAME`, is answered by a
// line with the workload's figures. A timed workload runs as many operations as fill the time, which follows from the fastest
// run so far; the first request warms up.

import CBench
import Glibc

@main
enum Worker {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    let all: [Workload]
    switch arguments.first {
    case "inlined": all = workloads(Inlined.self)
    case "called": all = workloads(Called.self)
    case "malloc": all = workloads(Malloc.self)
    case "boxed": all = vectors(KVector.self) + boxes(KBoxed.self)
    case "standard": all = vectors(StandardVector.self) + boxes(Instance.self)
    case "unique": all = vectors(UniqueVector.self)
    default: bench_fail(64, "usage: kbench-worker inlined|called|malloc|boxed|standard|unique [--list]")
    }
    if arguments.dropFirst().elementsEqual(["--list"]) {
      for workload in all {
        let figures = workload.figures.joined(separator: ";")
        print("\(workload.family)\t\(workload.name)\t\(figures)\t\(workload.isFresh ? "fresh" : "kept")")
      }
    } else {
      serve(all)
    }
  }

  private static func serve(_ all: [Workload]) {
    answer(String(cString: bench_malloc_library()))
    var fastest: [String: Double] = [:]
    while let line = readLine() {
      let words = line.split(separator: " ", maxSplits: 1).map(String.init)
      guard words.count == 2, let milliseconds = Double(words[0]), milliseconds >= 1,
        let workload = all.first(where: { $0.name == words[1] })
      else { bench_fail(64, "not a request: \(line)") }
      switch workload.body {
      case .once(let run):
        answer(run().map { "\($0)" }.joined(separator: " "))
      case .timed(let unit, let run):
        let wanted = milliseconds * 1_000_000
        let expected = fastest[workload.name] ?? warmUp(unit, run, wanted)
        let operations = max(1, Int(wanted / expected) / unit) * unit
        let time = Double(max(run(operations), 1)) / Double(operations)
        fastest[workload.name] = min(expected, time)
        answer("\(time)")
      }
    }
  }

  /// Runs a workload for about as long as is asked for; the nanoseconds per operation of the fastest run.
  private static func warmUp(_ unit: Int, _ run: (Int) -> UInt64, _ wanted: Double) -> Double {
    var fastest = Double.infinity
    var operations = unit
    var spent = 0.0
    while spent < wanted {
      let time = Double(max(run(operations), 1))
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
