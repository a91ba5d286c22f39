// Failures: what they say, and that they are said without the hook that Swift's runtime calls at every `throw`.

import Glibc
import KAllocAtomics
import Slab
import Testing

/// Ends the process with status 9 at the next `throw`: what a test library's hook does, in which a lock may be taken.
private func endProcessAtThrow() -> Bool {
  typealias Hook = @convention(c) (OpaquePointer?, OpaquePointer?, OpaquePointer?) -> Void
  guard let word = dlsym(nil, "_swift_willThrowTypedImpl") else { return false }
  let hook: Hook = { _, _, _ in _exit(9) }
  word.storeBytes(of: hook, as: Hook.self)
  return true
}

private func heap(_ mode: BindingMode, limit: Int) throws -> Heap {
  var configuration = HeapConfiguration()
  configuration.mode = mode
  configuration.limit = limit
  return try Heap.create(configuration)
}

@Suite struct FailureTests {
  @Test func `a function that is declared to throw reaches the hook, at the end`() async {
    await #expect(processExitsWith: .exitCode(9)) {
      let heap = try heap(.shared, limit: 1 << 20)
      guard endProcessAtThrow() else { exit(1) }
      _ = try? heap.allocate(size: 2 << 20, alignment: 16, flags: .kernel, node: nil)
    }
  }

  @Test(arguments: [BindingMode.rseq, .thread, .shared])
  func `what returns nil or a result reaches exhaustion without a throw`(_ mode: BindingMode) async {
    await #expect(processExitsWith: .success) { [raw = mode.rawValue as UInt8] in
      let heap = try heap(BindingMode(rawValue: raw)!, limit: 1 << 20)
      guard endProcessAtThrow() else { exit(1) }
      for size in [64, 3000, 32768, 100_000] {
        var last: UnsafeMutableRawPointer? = nil
        while let block = heap.allocate(size: size) { last = block }
        guard case .failure = heap.tryAllocate(size: size, alignment: 16, flags: .kernel, node: nil) else { exit(2) }
        guard let last else { continue }
        let grown = heap.tryReallocate(
          last, size: size, alignment: 16, newSize: 2 << 20, newAlignment: 16, flags: .kernel, node: nil)
        guard case .failure = grown else { exit(3) }
        guard case .failure = heap.tryReallocateUnsized(last, newSize: 2 << 20) else { exit(4) }
        heap.deallocate(last, size: size)
      }
      heap.trim()
    }
  }

  // ThreadSanitizer's runtime itself ends where the address space is limited so.
  @Test(.enabled(if: !ka_thread_sanitized()))
  func `a global heap that cannot be made says so without a throw, and is made when it can be`() async {
    await #expect(processExitsWith: .success) {
      guard endProcessAtThrow() else { exit(1) }
      var old = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &old)
      var none = rlimit(rlim_cur: 1 << 20, rlim_max: old.rlim_max)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &none)
      let refused = Heap.global.allocate(size: 64)
      let refusedToo = Heap.global.tryAllocate(size: 64, alignment: 16, flags: .kernel, node: nil)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &old)
      guard refused == nil, case .failure(.outOfMemory) = refusedToo else { exit(2) }
      guard let block = Heap.global.allocate(size: 64) else { exit(3) }
      Heap.global.deallocate(block, size: 64)
    }
  }
}
