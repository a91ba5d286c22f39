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
    cs_pin(0)
    for index in 0..<blocks.count { blocks[index] = UInt64(UInt(bitPattern: heap.allocate(size: 64))) }
    cs_pin(1)
    for index in 0..<blocks.count {
      heap.deallocate(UnsafeMutableRawPointer(bitPattern: UInt(blocks[index]))!, size: 64)
    }
    cs_pin(-1)
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

  @Test(arguments: ScenarioName.allCases, ["rseq", "thread", "shared"])
  func `every scenario passes on the heap in every mode`(_ name: ScenarioName, _ mode: String) throws {
    var options = RunOptions()
    options.scenarios = [name.rawValue]
    let steps: [ScenarioName: Int] = [
      .burst: 20, .exhaustion: 2, .threads: 8, .handoff: 100, .oversubscription: 100, .pages: 300, .heaps: 5,
      .trim: 200,
    ]
    options.operations = steps[name] ?? 1500
    options.threads = 3
    options.seed = 42
    let modes: [String: BindingMode] = ["rseq": .rseq, "thread": .thread, "shared": .shared]
    var configuration = HeapConfiguration()
    configuration.mode = modes[mode]
    configuration.topology = try .simulated(nodes: 2)
    configuration.windowBytes = 4 << 30
    let heap = try Heap.create(configuration)
    let report = Runner(HeapAllocator(heap: heap, mixesForms: true), options).makeRun()
    #expect(report.outcome == .passed, "\(report.text)")
    #expect(heap.destroy())
  }
}
