// How much private memory the allocator takes in a process of its own; the figure is printed in bytes.
//
//   kfootprint first                    by the first 64-byte object of a process
//   kfootprint density                  by 100 MiB of live 64-byte objects, each written to
//   kfootprint threads COUNT            by COUNT threads that live and have each allocated and freed a few objects
//   kfootprint threads COUNT idle       by COUNT threads that have not: what the threads themselves cost
//
// The stacks of the threads are not counted.

import CBench
import Glibc
import Slab

@main
enum Footprint {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    _ = bench_private_bytes()  // What reading the figure costs is there before it counts.
    switch arguments.first {
    case "first" where arguments.count == 1: print(first())
    case "density" where arguments.count == 1: print(density(bytes: 100 << 20))
    case "threads" where arguments.count == 2 || arguments.dropFirst(2) == ["idle"]:
      guard let count = Int32(arguments[1]) else { fallthrough }
      print(threads(count, idle: arguments.count == 3))
    default:
      bench_fail(64, "usage: kfootprint first | density | threads COUNT [idle]")
    }
  }

  private static func first() -> Int64 {
    let before = bench_private_bytes()
    guard let block = Heap.global.allocate(size: 64) else { bench_fail(1, "the first allocation was refused") }
    block.storeBytes(of: 1, as: UInt64.self)
    bench_keep(block)
    return bench_private_bytes() - before
  }

  private static func density(bytes: Int) -> Int64 {
    let before = bench_private_bytes()
    for number in 0..<(bytes / 64) {
      guard let block = Heap.global.allocate(size: 64) else { bench_fail(1, "allocation \(number) was refused") }
      block.initializeMemory(as: UInt64.self, repeating: UInt64(number), count: 8)
      bench_keep(block)
    }
    return bench_private_bytes() - before
  }

  private static func threads(_ count: Int32, idle: Bool) -> Int64 {
    let touch: @convention(c) (UnsafeMutableRawPointer?) -> Void = { _ in
      for size in [16, 64, 200, 1_000, 5_000] {
        guard let block = Heap.global.allocate(size: size) else { bench_fail(1, "an allocation was refused") }
        block.storeBytes(of: 1, as: UInt64.self)
        bench_keep(block)
        Heap.global.deallocate(block, size: size)
      }
    }
    let before = bench_private_bytes()
    guard bench_threads_run(count, idle ? { _ in } : touch, nil) else { bench_fail(1, "\(count) threads were refused") }
    let after = bench_private_bytes()
    bench_threads_end()
    return after - before
  }
}
