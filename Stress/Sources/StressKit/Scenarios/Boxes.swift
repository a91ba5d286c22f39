import KAlloc
import KBoxed

// Typed values: boxes that are made, changed, moved and dropped; vectors that grow, shrink, are copied and dropped.
//
// Each slot holds what a container gives up as raw parts, so that it outlives the step; a step puts the container
// together again, checks every value in it, does one thing to it, and takes it apart again. The values are functions of
// a key, so that a lost or foreign value is seen. Memory comes from the allocator under test (`WorkerAllocator`).

struct Boxes<Tested: AllocatorUnderTest>: Scenario {
  typealias Memory = WorkerAllocator<Tested>

  /// A container's raw parts; `count` is -1 for a box. All zero: nothing.
  struct Held: BitwiseCopyable {
    var address: UInt
    var key: UInt64
    var count: Int
    var capacity: Int
    var exists: Bool { key != 0 }
    static var none: Held { Held(address: 0, key: 0, count: 0, capacity: 0) }
  }

  /// 72 bytes, of which every word follows from the key.
  struct Value: BitwiseCopyable {
    var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    var key: UInt64

    init(_ key: UInt64) {
      self.key = key
      words = (~key, key &* 3, key &* 5, key &* 7, key &* 9, key &* 11, key &* 13, key &* 15)
    }

    var isIntact: Bool {
      let right = Value(key).words
      return words.0 == right.0 && words.1 == right.1 && words.2 == right.2 && words.3 == right.3
        && words.4 == right.4 && words.5 == right.5 && words.6 == right.6 && words.7 == right.7
    }
  }

  private final class Table: Sendable {
    let held = MappedArray<Held>(count: slots)
    deinit { held.unmap() }
  }

  let workers: [Worker<Tested>]
  private let tables: [Table]
  static var slots: Int { 1024 }
  /// Elements: 128 KiB, well into the page runs.
  static var longestVector: Int { 16 * 1024 }

  init(_ run: RunContext<Tested>) {
    self.init(ScenarioName.boxes.workers(run, count: run.options.threads, slots: 0))
  }

  /// With the workers of another scenario.
  init(_ workers: [Worker<Tested>]) {
    self.workers = workers
    tables = workers.map { _ in Table() }
  }

  func step(_ worker: Worker<Tested>) {
    let slots = tables[worker.index].held
    let slot = worker.random.below(slots.count)
    let action = worker.random.below(4)
    let key = worker.random.next() | 1
    let old = slots[slot]
    slots[slot] = .none
    let isBox = old.exists ? old.count < 0 : slot & 1 == 0
    slots[slot] = isBox ? stepBox(worker, old, action, key) : stepVector(worker, old, action, key)
  }

  func drain(_ worker: Worker<Tested>) {
    let slots = tables[worker.index].held
    for slot in 0..<slots.count where slots[slot].exists {
      let old = slots[slot]
      slots[slot] = .none
      if old.count < 0 { drop(box(worker, old), worker, old) } else { drop(vector(worker, old), worker, old) }
    }
  }

  /// Whole granules, as the memory's usable sizes are; a vector without a block is none.
  func forEachLive(_ body: (Block) -> Void) {
    for slots in tables.map(\.held) {
      for slot in 0..<slots.count where slots[slot].exists && slots[slot].capacity != 0 {
        let entry = slots[slot]
        let bytes = entry.count < 0 ? MemoryLayout<Value>.size : entry.capacity * MemoryLayout<UInt64>.stride
        body(Block(address: entry.address, size: (bytes + 15) & ~15, stamp: 0, alignment: 16, order: -1, owner: 0))
      }
    }
  }

  // MARK: Boxes

  private func stepBox(_ worker: Worker<Tested>, _ old: Held, _ action: Int, _ key: UInt64) -> Held {
    guard old.exists else {
      guard let made = try? Box(Value(key), in: Memory(worker: worker)) else { return .none }
      return keep(made, key)
    }
    var box = box(worker, old)
    checkBox(box, worker, old)
    switch action {
    case 0:
      box.value = Value(key)
      return keep(box, key)
    case 1:
      // The value moves out, its block goes back, and it moves into a new one.
      let value = box.consume()
      guard let moved = try? Box(value, in: Memory(worker: worker)) else { return .none }
      return keep(moved, old.key)
    default:
      return .none
    }
  }

  private func box(_ worker: Worker<Tested>, _ parts: Held) -> Box<Value, Memory> {
    Box(fromRaw: UnsafeMutablePointer(bitPattern: parts.address)!, in: Memory(worker: worker))
  }

  private func keep(_ box: consuming Box<Value, Memory>, _ key: UInt64) -> Held {
    Held(address: UInt(bitPattern: box.intoRaw()), key: key, count: -1, capacity: 1)
  }

  private func drop(_ box: consuming Box<Value, Memory>, _ worker: Worker<Tested>, _ parts: Held) {
    checkBox(box, worker, parts)
  }

  private func checkBox(_ box: borrowing Box<Value, Memory>, _ worker: Worker<Tested>, _ parts: Held) {
    worker.ledger.blocksChecked += 1
    worker.ledger.bytesChecked += MemoryLayout<Value>.size
    guard box.value.key == parts.key, box.value.isIntact else {
      return worker.fail(.content, "box at 0x\(String(parts.address, radix: 16)): the value is not the one put there")
    }
  }
}
