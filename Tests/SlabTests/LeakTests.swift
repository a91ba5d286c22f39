import CTestSupport
import Glibc
import TestSupport
import Testing

@testable import Slab

/// What AddressSanitizer's leak detection makes of a program that keeps objects of Swift in this allocator's blocks. In
/// processes of their own, which end without the sanitizer's last look.
///
/// Seen to fail where the sanitizer is not told of the windows, and of the direct mappings.
@Suite(.enabled(if: ct_address_sanitizer(), "there is nothing to tell to other builds")) struct `Leak detection` {
  private final class Object {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  /// Lets nothing but the block point to `count` new objects: the thread's stack is gone.
  private static func fill(_ block: UnsafeMutableRawPointer, at offset: Int, _ count: Int) {
    let place = UInt(bitPattern: block + offset)
    TestThread {
      let pointers = UnsafeMutablePointer<UnsafeRawPointer>(bitPattern: place)!
      for index in 0..<count { pointers[index] = UnsafeRawPointer(Unmanaged.passRetained(Object(index)).toOpaque()) }
    }.join()
  }

  @Test(arguments: [2000, 300_000])
  func `finds an object that no block points to any more, and no other`(size: Int) async {
    await #expect(processExitsWith: .success) { [size = size as Int] in
      let block = Heap.global.allocate(size: size)!
      Self.fill(block, at: 0, 200)
      if ct_finds_leaks() { _exit(1) }
      memset(block, 0, size)
      if !ct_finds_leaks() { _exit(2) }
      _exit(0)
    }
  }

  @Test func `knows a mapping of its own where it is, and no longer than it is there`() async {
    await #expect(processExitsWith: .success) {
      let size = 1 << 30 + 1 << 20
      let heap = Heap.global
      var block = try heap.allocate(size: size, alignment: 16, flags: .kernel, node: nil).baseAddress!
      Self.fill(block, at: size - 4096, 200)
      if ct_finds_leaks() { _exit(1) }
      block = try heap.reallocate(
        block, size: size, alignment: 16, newSize: 2 * size, newAlignment: 16, flags: .kernel, node: nil
      ).baseAddress!
      if ct_finds_leaks() { _exit(2) }
      heap.deallocate(block, size: 2 * size)
      if !ct_finds_leaks() { _exit(3) }
      _exit(0)
    }
  }

  @Test func `looks at no heap that is gone`() async {
    await #expect(processExitsWith: .success) {
      let heap = try Heap.create(HeapConfiguration())
      let block = heap.allocate(size: 2000)!
      Self.fill(block, at: 0, 200)
      if ct_finds_leaks() { _exit(1) }
      heap.deallocate(block, size: 2000)
      if !heap.destroy() { _exit(2) }
      if !ct_finds_leaks() { _exit(3) }
      _exit(0)
    }
  }
}
