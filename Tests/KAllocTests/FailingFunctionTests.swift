// The C-shaped functions where memory is short: `nil`, without the hook that Swift's runtime calls at every `throw`.

import Glibc
import KAlloc
import Slab
import Testing

@Test func `the C-shaped functions reach exhaustion without a throw`() async {
  await #expect(processExitsWith: .success) {
    typealias Hook = @convention(c) (OpaquePointer?, OpaquePointer?, OpaquePointer?) -> Void
    guard let word = dlsym(nil, "_swift_willThrowTypedImpl") else { exit(1) }
    let hook: Hook = { _, _, _ in _exit(9) }
    word.storeBytes(of: hook, as: Hook.self)
    for size in [64, 3000, 100_000] {
      Heap.global.limit = Heap.global.committedBytes + (1 << 20)
      var last: UnsafeMutableRawPointer? = nil
      while let block = alloc(size) { last = block }
      guard let last, allocZeroed(size) == nil, realloc(last, size, newSize: 2 << 20) == nil else { exit(2) }
      dealloc(last, size)
      guard let again = allocZeroed(size) else { exit(3) }
      for offset in 0..<size where again.load(fromByteOffset: offset, as: UInt8.self) != 0 { exit(4) }
    }
    for (size, alignment) in [(Int.max, 16), (-1, 16), (10, 24), (10, 0)] {
      guard alloc(size, alignment: alignment) == nil, allocZeroed(size, alignment: alignment) == nil else { exit(5) }
    }
  }
}
