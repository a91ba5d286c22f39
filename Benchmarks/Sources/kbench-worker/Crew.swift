// Threads of the workloads.

import CBench
import Glibc
import Synchronization

/// A closure that a pointer can lead to.
final class Body {
  let run: () -> Void
  init(_ run: @escaping () -> Void) { self.run = run }
}

/// A thread that runs a closure.
struct Thread {
  private let handle: pthread_t

  init(_ body: @escaping () -> Void) {
    var handle = pthread_t()
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    let refused = pthread_create(
      &handle, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
        return nil
      }, context)
    guard refused == 0 else { bench_fail(1, "no thread: \(String(cString: strerror(refused)))") }
    self.handle = handle
  }

  func join() { pthread_join(handle, nil) }
}

/// How many CPUs there are.
var cpus: Int { Int(bench_cpus()) }

/// Runs `body(0) … body(count - 1)` on threads of their own that begin together, and returns the nanoseconds until the last
/// has ended. With no more threads than CPUs each has one to itself.
func concurrently(_ count: Int, _ body: @escaping (Int) -> Void) -> UInt64 {
  final class Gate: Sendable {
    let waiting = Atomic(0)
    let isOpen = Atomic(false)
  }
  let gate = Gate()
  let ends = Table(count: count, zero: UInt64(0))
  let threads = (0..<count).map { index in
    Thread {
      if count <= cpus { _ = bench_pin(Int32(index)) }
      gate.waiting.add(1, ordering: .relaxed)
      while !gate.isOpen.load(ordering: .acquiring) { sched_yield() }
      body(index)
      ends[index] = bench_nanoseconds()
    }
  }
  while gate.waiting.load(ordering: .relaxed) < count { sched_yield() }
  let start = bench_nanoseconds()
  gate.isOpen.store(true, ordering: .releasing)
  for thread in threads { thread.join() }
  let end = (0..<count).map { ends[$0] }.max() ?? start
  ends.unmap()
  return end - start
}
