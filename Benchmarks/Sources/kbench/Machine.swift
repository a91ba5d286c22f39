import Foundation

/// What the figures were measured on, and how much of it others had meanwhile.
struct Machine: Codable {
  let processor, system, library: String
  let cpus, mebibytes: Int
  let hugePages: String
  let date: String
  /// The share of the CPUs' time that other programs took during the run, and the host took from this machine.
  private(set) var others = 0.0

  init() {
    func read(_ file: String) -> String { (try? String(contentsOfFile: file, encoding: .utf8)) ?? "" }
    processor =
      read("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }?
      .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown CPU"
    let kernel = read("/proc/sys/kernel/osrelease").trimmingCharacters(in: .whitespacesAndNewlines)
    system = "Linux \(kernel)"
    var version = [CChar](repeating: 0, count: 64)
    confstr(Int32(_CS_GNU_LIBC_VERSION), &version, version.count)
    library = String(decoding: version.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    cpus = ProcessInfo.processInfo.activeProcessorCount
    mebibytes = Int(ProcessInfo.processInfo.physicalMemory >> 20)
    let modes = read("/sys/kernel/mm/transparent_hugepage/enabled")
    hugePages = modes.split(separator: "[").last?.split(separator: "]").first.map(String.init) ?? "none"
    date = Date().formatted(.iso8601.year().month().day())
  }

  mutating func noteUse(_ start: Use) { others = start.othersSince() }

  var text: String {
    "\(processor), \(cpus) CPUs, \(mebibytes >> 10) GiB, \(system), \(library), transparent huge pages: \(hugePages), \(date)"
  }

  /// What to say where the figures are not to be trusted.
  var warning: String? {
    guard others > 0.05 else { return nil }
    return "The machine was busy: others had \(Int(others * 100)) % of its CPUs. Repeat this when it is idle."
  }

  /// CPU time spent, in seconds, at one moment.
  struct Use {
    private let total, busy, own: Double

    init() {
      let line = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8))?.split(separator: "\n").first ?? ""
      let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
      total = ticks.reduce(0, +) / 100
      busy = total - (ticks.count > 4 ? ticks[3] + ticks[4] : 0) / 100
      var sum = 0.0
      for who in [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue] {
        var usage = rusage()
        getrusage(Int32(truncatingIfNeeded: who), &usage)
        for time in [usage.ru_utime, usage.ru_stime] { sum += Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
      }
      own = sum
    }

    /// Children count once they have ended.
    func othersSince() -> Double {
      let now = Use()
      return max(0, (now.busy - busy) - (now.own - own)) / max(now.total - total, 0.01)
    }
  }
}
