// What scenarios are written with: threads, a check, and the oracles that watch memory.

import KAllocAtomics

/// A small program over the shipped sources, and what must hold of it.
public struct Scenario {
  public let name: String
  /// What meets what, and what must hold.
  public let summary: String
  /// Prepares an execution; runs once, before any thread.
  public let make: () throws -> World

  public init(_ name: String, _ summary: String, _ make: @escaping () throws -> World) {
    self.name = name
    self.summary = summary
    self.make = make
  }
}

/// A scenario, prepared: the state that every execution begins in is what memory holds when `make` returns.
public struct World {
  public var threads: [() -> Void] = []
  /// Runs when all threads have ended.
  public var check: () -> Void = {}
  /// The CPU of each thread; each its own where empty.
  public var cpus: [Int] = []
  /// Names a word in traces; nil: unknown here.
  public var names: [(UInt) -> String?] = []

  public init() {}
}

/// Where the simulated system differs from the usual: set while a scenario is made.
public struct SimulatedSystem {
  /// CPUs that exist; of a heap in `rseq` mode, the regions.
  public static func setCPUs(_ count: Int) { machine.pointee.cpuLimit = UInt32(count) }
  /// Whether a thread may find itself on the next CPU before a section.
  public static func setMigration(_ on: Bool) { machine.pointee.migrates = on }
  /// Whether `ka_os_commit` may be refused, at every call.
  public static func setCommitMayFail(_ on: Bool) { machine.pointee.commitMayFail = on }
  /// Where what follows in `make` takes place.
  public static func prepare(onCPU cpu: Int) { machine.pointee.preparingCPU = cpu }
  /// How many barriers the threads may make: those after them are refused.
  public static func setBarriers(_ count: Int) { machine.pointee.barriersAllowed = count }
}

/// Zeroed memory of the arena.
public func arena(bytes: Int, alignment: Int = 4096) -> UnsafeMutableRawPointer {
  guard let memory = arenaTake(bytes, alignment) else { fatalError("the arena is full") }
  return memory
}

/// A result of a thread, for the check. Not shared between threads.
public struct Register {
  let address: UInt

  public init() { address = UInt(bitPattern: arena(bytes: 64)) }

  public var value: Int {
    get { Int(bitPattern: UInt(peek(address, 8))) }
    nonmutating set {
      if km_current_mode() != KM_IMMEDIATE { save(address, 8) }
      poke(address, 8, UInt64(UInt(bitPattern: newValue)))
    }
  }
}

/// Fails the execution unless `condition`.
@inline(__always)
public func expect(_ condition: Bool, _ text: StaticString) {
  if !condition { fail(text) }
}

/// As `expect`, with a number for the reader.
@inline(__always)
public func expect(_ condition: Bool, _ text: StaticString, _ detail: Int) {
  if !condition { fail(text, UInt64(UInt(bitPattern: detail))) }
}

// MARK: Ownership

/// The current thread was given `bytes` at `address`: nobody else may have any of it, and whatever anybody did with it
/// before must be known to have happened.
///
/// - Parameter stride: the distance of the places that are written to; all of them up to eight, else the first and last.
public func nowOwns(_ address: UnsafeRawPointer, bytes: Int, stride: Int) {
  let m = machine
  let low = UInt(bitPattern: address)
  let high = low + UInt(bytes)
  note("owns", UInt64(low))
  for index in 0..<m.pointee.blocks.count {
    let block = m.pointee.blocks[index]
    if block.low < high && low < block.high { fail("memory is given to two at once, at", UInt64(max(low, block.low))) }
  }
  m.pointee.blocks.append(Block(low: low, high: high, thread: m.pointee.current))
  use(low, high, stride)
}

/// The current thread is done with a block, and will give it back.
public func noLongerOwns(_ address: UnsafeRawPointer, bytes: Int, stride: Int) {
  let m = machine
  let low = UInt(bitPattern: address)
  note("gives back", UInt64(low))
  use(low, low + UInt(bytes), stride)
  for index in 0..<m.pointee.blocks.count where m.pointee.blocks[index].low == low {
    expect(m.pointee.blocks[index].high == low + UInt(bytes), "a scenario gives back what it does not own")
    m.pointee.blocks[index] = m.pointee.blocks.last
    m.pointee.blocks.removeLast()
    return
  }
  fail("a scenario gives back what it does not own")
}

/// Writes to memory that the current thread owns.
private func use(_ low: UInt, _ high: UInt, _ stride: Int) {
  let count = (Int(high - low) + stride - 1) / stride
  for index in 0..<count where count <= 8 || index == 0 || index == count - 1 {
    plainStore(low + UInt(index * stride), ~0)
  }
}

/// What a block that the current thread owns holds.
public func contents(_ address: UnsafeRawPointer) -> UInt64 { plainLoad(UInt(bitPattern: address)) }

/// The number of blocks that are owned.
public var ownedBlocks: Int { machine.pointee.blocks.count }

/// The bytes that are owned.
public var ownedBytes: Int {
  var sum: UInt = 0
  for index in 0..<machine.pointee.blocks.count {
    sum += machine.pointee.blocks[index].high - machine.pointee.blocks[index].low
  }
  return Int(sum)
}

/// The blocks of so many bytes that are owned.
public func ownedBlocks(of bytes: Int) -> Int {
  let m = machine
  var count = 0
  for index in 0..<m.pointee.blocks.count
  where m.pointee.blocks[index].high - m.pointee.blocks[index].low == UInt(bytes) {
    count += 1
  }
  return count
}

// MARK: Plain accesses by the code under test that the scenario stands in for

public func plainWrite(_ address: UnsafeMutableRawPointer) {
  let word = UInt(bitPattern: address)
  plainStore(word, plainLoad(word))
}

public func plainWrite(_ address: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
  plainStore(UInt(bitPattern: address), value)
}

@discardableResult
public func plainRead(_ address: UnsafeRawPointer) -> UInt64 { plainLoad(UInt(bitPattern: address)) }
