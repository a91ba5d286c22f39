import CStress
import Slab
import Testing

@testable import StressKit

// What stress runs found wrong in the heap, each as small as it can be made.

@Suite(.serialized) struct HeapTests {
  @Test func `blocks that are only ever freed on another CPU come back with a trim`() throws {
    guard cs_cpu_count() > 1 else { return }
    var configuration = HeapConfiguration()
    configuration.topology = try .simulated(nodes: 2)
    configuration.windowBytes = 64 << 20
    let heap = try Heap.create(configuration)
    let blocks = MappedArray<UInt64>(count: 200)
    defer { blocks.unmap() }
    _ = cs_pin(0)
    for index in 0..<blocks.count { blocks[index] = UInt64(UInt(bitPattern: heap.allocate(size: 64))) }
    _ = cs_pin(1)
    for index in 0..<blocks.count {
      heap.deallocate(UnsafeMutableRawPointer(bitPattern: UInt(blocks[index]))!, size: 64)
    }
    _ = cs_pin(-1)
    _ = heap.trim()
    #expect(heap.committedBytes == 0)
    #expect(heap.destroy())
  }

  @Test(arguments: ["rseq", "thread", "shared"])
  func `heaps that several threads begin at once are whole at their end`(_ mode: String) {
    let modes: [String: BindingMode] = ["rseq": .rseq, "thread": .thread, "shared": .shared]
    var configuration = HeapConfiguration()
    configuration.mode = modes[mode]
    configuration.windowBytes = 64 << 20
    guard let heap = try? Heap.create(configuration) else {
      Issue.record("no heap")
      return
    }
    let allocator = HeapAllocator(heap: heap, mixesForms: true)
    for seed in 0..<300 {
      let result = allocator.exerciseScratchHeap(seed: UInt64(seed))
      #expect(result.failure == nil, "seed \(seed)")
    }
    #expect(heap.destroy())
  }

  private static func options(_ name: ScenarioName) -> RunOptions {
    var options = RunOptions()
    options.scenarios = [name.rawValue]
    let steps: [ScenarioName: Int] = [
      .burst: 20, .exhaustion: 2, .threads: 8, .handoff: 100, .oversubscription: 100, .pages: 300, .heaps: 5,
      .trim: 200, .faults: 400, .onecpu: 400,
    ]
    options.operations = steps[name] ?? 1500
    options.threads = 3
    options.seed = 42
    return options
  }

  private static func heap(mode: BindingMode?) throws -> Heap {
    var configuration = HeapConfiguration()
    configuration.mode = mode
    configuration.topology = try .simulated(nodes: 2)
    configuration.windowBytes = 4 << 30
    return try Heap.create(configuration)
  }

  @Test(arguments: ScenarioName.allCases, ["rseq", "thread", "shared"])
  func `every scenario passes on the heap in every mode`(_ name: ScenarioName, _ mode: String) throws {
    let modes: [String: BindingMode] = ["rseq": .rseq, "thread": .thread, "shared": .shared]
    let heap = try Self.heap(mode: modes[mode])
    let report = Runner(HeapAllocator(heap: heap, mixesForms: true), Self.options(name)).makeRun()
    #expect(report.outcome == .passed, "\(report.text)")
    #expect(heap.destroy())
  }

  @Test(arguments: ScenarioName.allCases)
  func `every scenario passes on heaps of all modes that the same threads use in turn`(_ name: ScenarioName) throws {
    let heaps = try MixedHeaps(nodes: 2, mixesForms: true)
    let report = Runner(heaps, Self.options(name)).makeRun()
    #expect(report.outcome == .passed, "\(report.text)")
    #expect(report.traffic?.mode == "rseq+thread+shared")
    #expect(heaps.destroy())
  }

  @Test(arguments: ScenarioName.allCases)
  func `every scenario passes while requests are refused at random`(_ name: ScenarioName) throws {
    let heap = try Self.heap(mode: nil)
    var options = Self.options(name)
    options.refuse = 20
    let report = Runner(HeapAllocator(heap: heap, mixesForms: true, mixesModes: true), options).makeRun()
    #expect(report.outcome == .passed, "\(report.text)")
    // Scratch heaps are not the workers' requests.
    if name != .heaps { #expect(report.books.injected > 0) }
    #expect(heap.destroy())
  }
}
