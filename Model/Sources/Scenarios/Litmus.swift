// Litmus tests of the memory model itself: small programs of which it is known what may come out.

import Explorer
import KAllocAtomics

/// A small program over a few words, and the outcomes that were seen.
public final class Litmus {
  public private(set) var outcomes: Set<[Int]> = []
  private let threads: [(UnsafeMutablePointer<UInt64>) -> [Int]]

  /// - Parameter threads: each is given the words, all 0, and returns what it read.
  public init(_ threads: ((UnsafeMutablePointer<UInt64>) -> [Int])...) { self.threads = threads }

  /// Explores the program without bounds. Throws the failure that was found, if any.
  public func run() throws -> Set<[Int]> {
    outcomes = []
    let scenario = Scenario("litmus", "", make)
    let explorer = try Search(scenario)
    let exploration = explorer.explore(Bound(.max, .max), seconds: 60)
    if let failure = exploration.failure { throw LitmusFailure(text: failure.text) }
    if !exploration.isExhausted { throw LitmusFailure(text: "not explored in time") }
    return outcomes
  }

  private func make() -> World {
    let words = arena(bytes: 4096).bindMemory(to: UInt64.self, capacity: 16)
    let results = threads.map { _ in (0..<4).map { _ in Register() } }
    let counts = threads.map { _ in Register() }
    var world = World()
    for (index, body) in threads.enumerated() {
      world.threads.append {
        let read = body(words)
        counts[index].value = read.count
        for (place, value) in read.enumerated() { results[index][place].value = value }
      }
    }
    world.check = { [self] in
      var outcome: [Int] = []
      for index in threads.indices { outcome += results[index].prefix(counts[index].value).map(\.value) }
      outcomes.insert(outcome)
    }
    return world
  }
}

public struct LitmusFailure: Error { public let text: String }
