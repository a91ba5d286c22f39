// How much memory the allocator takes for what is live, in a process of its own each time.

import CBench

func memory<A: BenchAllocator>(_ allocator: A.Type) -> [Workload] {
  [
    .once(
      "memory", "phases",
      [
        "resident/live at the end:x", "resident/live on average:x", "left after all is freed:MiB",
        "left after trim:MiB",
      ]
    ) { phases(allocator) },
    .once("memory", "smallest", ["resident:MiB"]) { [smallest(allocator)] },
    .once("memory", "threads-1000", ["private memory for each:KiB"]) { [manyThreads(allocator)] },
  ]
}

private let mebibyte = Double(1 << 20)

/// 64 MiB live while the sizes shift ten times. In each phase three times as much is allocated as may be live; what gives way
/// is drawn at random, but for one block in 64, which stays for two more phases: it holds its slab when all around it has gone.
@inline(never)
private func phases<A: BenchAllocator>(_: A.Type) -> [Double] {
  let budget = 64 << 20
  let leasts = [32, 512, 64, 4096, 16, 1024, 8192, 128, 2048, 256]
  var young = Blocks<A>(capacity: budget / 16)
  var old = (0..<3).map { _ in Blocks<A>(capacity: budget / 64) }
  var random = Random(seed: 10)
  let before = bench_resident_bytes()
  func resident() -> Double { Double(max(bench_resident_bytes() - before, 0)) }
  func live() -> Int { old.reduce(young.bytes) { $0 + $1.bytes } }
  var ratios: [Double] = []
  for (phase, least) in leasts.enumerated() {
    old[phase % 3].free()
    var allocated = 0
    while allocated < 3 * budget {
      let size = least + random.below(3 * least)
      while live() + size > budget { young.free(random.below(young.count)) }
      if random.below(64) == 0 { old[phase % 3].add(size) } else { young.add(size) }
      allocated += size
    }
    ratios.append(resident() / Double(live()))
  }
  young.free()
  for index in old.indices { old[index].free() }
  let freed = resident() / mebibyte
  A.trim()
  let average = ratios.reduce(0, +) / Double(ratios.count)
  return [ratios[ratios.count - 1], average, freed, resident() / mebibyte]
}

/// Live blocks: address and size in one word, in a table that is there before memory is counted.
private struct Blocks<A: BenchAllocator> {
  private let words: Table<UInt64>
  private(set) var count = 0
  private(set) var bytes = 0

  init(capacity: Int) { words = Table(count: capacity, zero: 0) }

  /// A new block, with a byte in each page and the last one written: what is live is resident.
  mutating func add(_ size: Int) {
    let block = kept(A.allocate(size))
    for offset in stride(from: 0, to: size, by: 4096) { block.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self) }
    block.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self)
    words[count] = UInt64(UInt(bitPattern: block)) << 16 | UInt64(size)
    count += 1
    bytes += size
  }

  mutating func free(_ index: Int) {
    let word = words[index]
    let size = Int(word & 0xFFFF)
    A.deallocate(UnsafeMutableRawPointer(bitPattern: UInt(word >> 16)).unsafelyUnwrapped, size)
    bytes -= size
    count -= 1
    words[index] = words[count]
  }

  mutating func free() {
    while count > 0 { free(count - 1) }
  }
}

/// A process that has allocated one object.
private func smallest<A: BenchAllocator>(_: A.Type) -> Double {
  let block = kept(A.allocate(64))
  block.storeBytes(of: 1, as: UInt64.self)
  return Double(bench_resident_bytes()) / mebibyte
}

/// Threads that live and have each allocated, written and freed a few objects; their stacks are not counted.
private func manyThreads<A: BenchAllocator>(_: A.Type) -> Double {
  let body = Body {
    for size in [16, 64, 200, 1_000, 5_000] {
      let block = kept(A.allocate(size))
      block.storeBytes(of: 1, as: UInt64.self)
      A.deallocate(block, size)
    }
  }
  _ = bench_private_bytes()  // What reading the figure costs is there before it counts.
  let before = bench_private_bytes()
  let count: Int32 = 1000
  let isStarted = bench_threads_run(
    count, { context in Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue().run() },
    Unmanaged.passUnretained(body).toOpaque())
  guard isStarted else { bench_fail(1, "\(count) threads were refused") }
  let after = bench_private_bytes()
  bench_threads_end()
  return withExtendedLifetime(body) { Double(after - before) / 1024 / Double(count) }
}
