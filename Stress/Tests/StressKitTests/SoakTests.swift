import Testing

@testable import StressKit

/// Rounds of five seconds: `trend` KiB more in each, plus noise of which each value keeps `memory` of the one before.
private func soak(rounds: Int, trend: Double, noise: Double, memory: Double = 0, seed: UInt64) -> Soak {
  var random = RandomSource(seed: seed, stream: 3)
  var soak = Soak()
  var disturbance = 0.0
  for round in 0..<rounds {
    // The sum of twelve uniform numbers, less six: nearly normal, variance 1.
    let normal = (0..<12).reduce(-6.0) { sum, _ in sum + Double(random.below(1 << 20)) / Double(1 << 20) }
    disturbance = memory * disturbance + noise * normal
    let kibibytes = 100_000 + trend * Double(round) + disturbance
    soak.samples.append(
      .init(
        seconds: Double(round) * 5, operations: round * 2_000_000, resident: Int(kibibytes * 1024), committed: 0))
  }
  soak.judge()
  return soak
}

private func run(_ allocator: FaultyAllocator) -> Report {
  var options = RunOptions()
  options.scenarios = ["churn", "burst"]
  options.operations = 200
  options.rounds = 16
  options.threads = 2
  let state = allocator.state
  return Runner(allocator, options) { 50 << 20 + state.leaked.load(ordering: .relaxed) }.makeRun()
}

@Suite struct SoakTests {
  @Test func `memory that rises steadily is significant, and its slope is found`() throws {
    for seed in 0..<100 {
      let growth = try #require(soak(rounds: 60, trend: 20, noise: 100, seed: UInt64(seed)).growth)
      #expect(growth.isSignificant, "seed \(seed): \(growth)")
      // 20 KiB in 5 s and in two million operations.
      #expect(abs(growth.perHour - 14_400) < 5000, "seed \(seed): \(growth)")
      #expect(abs(growth.perMillionOperations - 10) < 3.5, "seed \(seed): \(growth)")
      #expect(growth.atLeastPerHour < growth.perHour)
    }
  }

  @Test(arguments: [(0.0, 1), (0.7, 3)])
  func `noise alone is not significant, also where neighbours are alike`(_ memory: Double, _ most: Int) {
    let wrong = (0..<200).count { seed in
      soak(rounds: 60, trend: 0, noise: 300, memory: memory, seed: UInt64(seed)).growth?.isSignificant ?? true
    }
    #expect(wrong <= most)
  }

  @Test func `a table that fills once is no leak`() throws {
    var filled = soak(rounds: 60, trend: 0, noise: 20, seed: 1)
    for index in 0..<10 { filled.samples[index].resident -= (10 - index) << 20 }
    filled.judge()
    #expect(try #require(filled.growth).isSignificant == false)
  }

  @Test func `a few rounds tell nothing`() {
    #expect(soak(rounds: 9, trend: 1000, noise: 1, seed: 1).growth == nil)
    #expect(soak(rounds: 12, trend: 1000, noise: 1, seed: 1).growth?.isSignificant == true)
  }

  @Test(arguments: [(6.0, 5.208), (10, 4.144), (20, 3.552), (60, 3.232)])
  func `the quantile is that of Student's distribution`(_ degrees: Double, _ expected: Double) {
    #expect(abs(Soak.quantile(degrees: degrees) - expected) < 0.02 * expected)
  }

  @Test func `a soak finds memory that no count of the allocator's shows`() throws {
    let report = run(FaultyAllocator(fault: .leaksUnseen))
    #expect(report.failures.map(\.kind) == [.growth])
    #expect(report.text.contains("grows"))
    #expect(report.exitStatus == 1)
  }

  @Test func `a soak makes its rounds with choices of their own, and stays flat`() throws {
    let report = run(FaultyAllocator(fault: .none))
    #expect(report.outcome == .passed, "\(report.text)")
    let soak = try #require(report.soak)
    #expect(soak.samples.count == 16)
    #expect(soak.growth?.perHour == 0)
    #expect(report.scenarios.map(\.name) == ["churn", "burst"])
    #expect(report.scenarios.map(\.phases) == [32, 32])
    #expect(report.books.operations == soak.samples.last?.operations)
    let rounds = zip(soak.samples.dropFirst(), soak.samples).map { $0.operations - $1.operations }
    #expect(Set(rounds).count > 1, "all rounds alike: \(rounds)")
  }
}
