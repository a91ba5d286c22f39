import CStress
import Dispatch
import Foundation

/// One look at a run while it goes on. Counts are since its beginning.
struct Sample: Codable, Equatable, Sendable {
  var seconds: Double
  var operations: Int
  var resident: Int
  var live: Int?
  var committed: Int?
  var freePagesByOrder: [Int]?
  var operationsByCPU: [Int]
  /// Empty where the caches are not those of CPUs.
  var missesByCPU: [Int]
}

/// Looks at a run from a thread of its own, four times a second at first and half as often whenever there are many samples.
///
/// It only reads: words that the workers write anyway, and the allocator's statistics.
final class Sampler: @unchecked Sendable {  // Everything below is reached on `queue` only.
  static let most = 480
  private let queue = DispatchQueue(label: "kstress.samples")
  private let timer: any DispatchSourceTimer
  private var samples: [Sample] = []
  private var turn = 0
  private var every = 1

  init<Tested>(_ runner: Runner<Tested>) {
    timer = DispatchSource.makeTimerSource(queue: queue)
    let start = cs_now()
    let atStart = runner.run.allocator.levels()?.missesByCPU ?? []
    timer.schedule(deadline: .now(), repeating: 0.25)
    timer.setEventHandler { [weak self] in self?.tick { Self.look(runner, start, atStart) } }
    timer.resume()
  }

  private func tick(_ look: () -> Sample) {
    defer { turn += 1 }
    guard turn % every == 0 else { return }
    samples.append(look())
    guard samples.count >= Self.most else { return }
    samples = samples.enumerated().compactMap { $0.offset % 2 == 0 ? $0.element : nil }
    every *= 2
  }

  private static func look<Tested>(_ runner: Runner<Tested>, _ start: UInt64, _ atStart: [Int]) -> Sample {
    let levels = runner.run.allocator.levels()
    let misses = levels?.missesByCPU ?? []
    return Sample(
      seconds: Double(cs_now() - start) / 1e9, operations: runner.run.control.progressInAll,
      resident: Int(cs_resident_bytes()), live: levels?.live, committed: levels?.committed,
      freePagesByOrder: levels?.freePagesByOrder, operationsByCPU: runner.run.control.operationsByCPU,
      missesByCPU: misses.enumerated().map { $1 - ($0 < atStart.count ? atStart[$0] : 0) })
  }

  /// The samples; none is taken after this.
  func end() -> [Sample] {
    timer.cancel()
    return queue.sync { samples }
  }
}

/// What a run was made on.
struct Machine: Codable, Equatable, Sendable {
  var processor: String
  var cpus: Int
  var memory: UInt64
  var system: String

  static var current: Machine {
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = info.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
    var name = utsname()
    uname(&name)
    let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return Machine(
      processor: model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor",
      cpus: Int(cs_cpu_count()), memory: ProcessInfo.processInfo.physicalMemory, system: "Linux \(release)")
  }
}
