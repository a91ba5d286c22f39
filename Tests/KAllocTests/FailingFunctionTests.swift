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

@Test func `a shrink keeps the block where no smaller one can be had, and its free takes the new size`() async {
  await #expect(processExitsWith: .success) {
    let before = Heap.global.committedBytes
    guard let run = alloc(100_000) else { exit(1) }
    Heap.global.limit = Heap.global.committedBytes + (4 << 20)
    var blocks: [UnsafeMutableRawPointer] = []
    while let block = alloc(3000) {
      block.initializeMemory(as: Int.self, repeating: blocks.count, count: 12)
      blocks.append(block)
    }
    for (index, block) in blocks.enumerated() where index % 2 == 0 {
      // No slab of this class exists, and none can be made.
      guard realloc(block, 3000, newSize: 100) == block else { exit(2) }
      for word in 0..<12 where block.load(fromByteOffset: word * 8, as: Int.self) != index { exit(3) }
    }
    guard realloc(run, 100_000, newSize: 100) == run else { exit(4) }
    dealloc(run, 100)
    // The run is handed out as what it was last, where there is a cache.
    guard let again = alloc(100), again == run || Heap.global.mode == .shared else { exit(5) }
    dealloc(again, 100)
    guard Heap.global.validate() == nil else { exit(6) }
    for (index, block) in blocks.enumerated() { dealloc(block, index % 2 == 0 ? 100 : 3000) }
    guard Heap.global.validate() == nil else { exit(7) }
    Heap.global.trim()
    guard Heap.global.validate() == nil else { exit(8) }
    exit(Heap.global.committedBytes == before && Heap.global.statistics().liveObjects == 0 ? 0 : 9)
  }
}

@Test func `a shrink answers nil only where the block does not lie as the smaller class must`() async {
  await #expect(processExitsWith: .success) {
    Heap.global.limit = Heap.global.committedBytes + (1 << 20)
    var kept = 0
    var refused = 0
    while let block = alloc(96) {
      block.storeBytes(of: 77, as: UInt8.self)
      if Heap.global.committedBytes + 65536 <= Heap.global.limit { continue }
      Heap.global.limit = Heap.global.committedBytes
      let answer = realloc(block, 96, newSize: 60)
      guard answer == (UInt(bitPattern: block) % 64 == 0 ? block : nil) else { exit(1) }
      guard block.load(as: UInt8.self) == 77 else { exit(2) }
      // Neither is freed: the next one is another.
      if answer == nil { refused += 1 } else { kept += 1 }
    }
    exit(kept > 0 && refused > 0 ? 0 : 3)
  }
}
