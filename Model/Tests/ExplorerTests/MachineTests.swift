// The explorer beyond the memory model: plain memory, sections, schedules, and that the seeded faults fit the sources.

import Foundation
import KAllocAtomics
import Testing

@testable import Explorer
@testable import Mutations
@testable import Scenarios

extension ExplorerTests {
  @Suite(.serialized) struct MachineTests {
    private func failure(within bound: Bound = Bound(.max, .max), _ make: @escaping () throws -> World) throws
      -> Failure?
    {
      try Search(Scenario("test", "", make)).explore(bound, seconds: 20).failure
    }

    private func messagePassing(_ publish: @escaping (UnsafeMutablePointer<UInt64>) -> Void) throws -> Failure? {
      try failure {
        let words = arena(bytes: 4096).bindMemory(to: UInt64.self, capacity: 16)
        var world = World()
        world.threads = [
          {
            plainWrite(words, 7)
            publish(words + 1)
          }, { if ka_u64_load_acquire(words + 1) == 1 { expect(plainRead(words) == 7, "stale") } },
        ]
        return world
      }
    }

    @Test func `plain memory that is published by a release may be read after an acquire`() throws {
      #expect(try messagePassing { ka_u64_store_release($0, 1) } == nil)
    }

    @Test func `plain memory that is published without one is a data race`() throws {
      #expect(try messagePassing { ka_u64_store_relaxed($0, 1) }?.text.hasPrefix("data race") == true)
    }

    @Test func `a block given to two threads is noticed`() throws {
      let found = try failure {
        let block = arena(bytes: 64)
        var world = World()
        world.threads = [{ nowOwns(block, bytes: 64, stride: 64) }, { nowOwns(block, bytes: 64, stride: 64) }]
        return world
      }
      #expect(found?.text.hasPrefix("memory is given to two at once") == true)
    }

    @Test func `a thread that goes round for ever while another is stopped is noticed`() throws {
      let found = try failure(within: Bound(1, 0)) {
        let word = arena(bytes: 64).bindMemory(to: UInt64.self, capacity: 8)
        var world = World()
        world.threads = [
          {
            ka_u64_store_relaxed(word, 1); ka_u64_store_relaxed(word, 0)
          },
          { while ka_u64_load_relaxed(word) == 1 {} },
        ]
        return world
      }
      #expect(found?.text.hasPrefix("no end") == true)
    }

    @Test func `a trap of a thread is a failure, with the schedule that leads to it`() throws {
      let scenario = Scenario("test", "") {
        let word = arena(bytes: 64).bindMemory(to: UInt64.self, capacity: 8)
        var world = World()
        world.threads = [{ ka_u64_store_relaxed(word, 1) }, { precondition(ka_u64_load_relaxed(word) == 0) }]
        return world
      }
      let search = try Search(scenario)
      let found = try #require(search.explore(Bound(0, 0), seconds: 5).failure)
      #expect(found.schedule.description == "a1 b1")
      #expect(search.replay(found.schedule).failure?.text == found.text)
      #expect(search.replay(Schedule("b1 a1")!).failure == nil)
    }

    /// A counter of a CPU's region, raised as a section raises a stack's top.
    private func count(cpus: [Int], barrier: Bool) throws -> Failure? {
      try failure {
        let regions = arena(bytes: 4 << Int(KA_REGION_SHIFT), alignment: 1 << Int(KA_REGION_SHIFT))
        let heap = arena(bytes: 4096).bindMemory(to: ka_heap.self, capacity: 1)
        heap.pointee.regions = regions
        let stack = UInt64(KA_STACKS_OFFSET)
        let words = (regions + Int(KA_STACKS_OFFSET)).bindMemory(to: UInt64.self, capacity: 4)
        let array = UInt64(UInt(bitPattern: regions)) + 4096
        (words[0], words[1], words[2], words[3]) = (array, array, array + 80, array + 80)
        let pushed = [Register(), Register()]
        var world = World()
        world.cpus = cpus
        world.threads = [
          { for _ in 0..<2 where ka_section_push(heap, stack, 1) { pushed[0].value += 1 } },
          {
            if barrier { _ = ka_barrier_sections(-1) }
            for _ in 0..<2 where ka_section_push(heap, stack, 2) { pushed[1].value += 1 }
          },
        ]
        world.check = {
          let top = words[0]
          expect(
            Int(top - array) / 8 == (cpus[1] == 0 ? pushed[0].value + pushed[1].value : pushed[0].value),
            "a push is lost")
        }
        return world
      }
    }

    @Test func `sections of one CPU abort each other and lose nothing`() throws {
      #expect(try count(cpus: [0, 0], barrier: false) == nil)
      #expect(try count(cpus: [0, 1], barrier: true) == nil)
    }

    @Test func `a schedule is read as it is written`() throws {
      let text = "a12.1 b3 a4"
      let schedule = try #require(Schedule(text))
      #expect(schedule.description == text)
      #expect(schedule.steps.first == Step(thread: 0, operations: 12, choice: 1))
      for wrong in ["a", "12", "a0", "a-1", "a1.", "a1.x", "z3", "a1.0"] { #expect(Schedule(wrong) == nil, "\(wrong)") }
    }

    @Test func `every seeded fault fits the sources, and has scenarios`() throws {
      let sources = URL(filePath: #filePath).appending(path: "../../../../Sources/Slab").standardized.path
      let names = Set(allScenarios.map(\.name))
      #expect(names.count == allScenarios.count && Set(allMutations.map(\.number)).count == allMutations.count)
      for mutation in allMutations {
        let isForSanitizers = memoryMutations.contains { $0.number == mutation.number }
        #expect(mutation.scenarios.isEmpty == isForSanitizers, "\(mutation.number)")
        #expect(mutation.scenarios.allSatisfy(names.contains), "\(mutation.number)")
        let text = try String(contentsOfFile: "\(sources)/\(mutation.file)", encoding: .utf8)
        #expect(throws: Never.self, "\(mutation.number)") { try mutated(text, file: mutation.file) }
      }
    }

    @Test func `schedules that once failed run to the end`() throws {
      let once = [
        ("pages-hints-orders", "a2 b5 c69 a2"), ("slabs-create-found", "b11 a17 b3.1 b7"),
        ("heap-drain-open", "a11 b550 a9"), ("heap-open", "a9 b1 a12"),
      ]
      for (name, schedule) in once {
        let scenario = try #require(allScenarios.first { $0.name == name })
        #expect(try Search(scenario).replay(#require(Schedule(schedule))).failure == nil, "\(name)")
      }
    }
  }
}
