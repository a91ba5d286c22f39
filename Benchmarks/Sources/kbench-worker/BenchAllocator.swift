// The allocators that a worker can run its workloads on. Each workload is generic over them and specialised for each.

import CBench
import CalledAllocator
import Glibc
import Slab

/// What the workloads ask of an allocator. Sizes and alignments of a free are those of the allocation.
protocol BenchAllocator {
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer?
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int)
  static func allocateZeroed(_ size: Int) -> UnsafeMutableRawPointer?
  static func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int, _ newSize: Int) -> UnsafeMutableRawPointer?
  static func allocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer?
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int, alignment: Int)
  /// 4 KiB << `order`, aligned to as much.
  static func allocatePages(_ order: Int) -> UnsafeMutableRawPointer?
  static func deallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int)
  /// Gives back what it can.
  static func trim()
  /// Whether it is `Heap`, which can be asked how its pages lie.
  static var isHeap: Bool { get }
}

/// What has one form only, inlined or not.
protocol HeapBenchAllocator: BenchAllocator {}

extension HeapBenchAllocator {
  static func allocateZeroed(_ size: Int) -> UnsafeMutableRawPointer? {
    try? Heap.global.allocate(size: size, alignment: 16, flags: [.kernel, .zero], node: nil).baseAddress
  }
  static func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int, _ newSize: Int) -> UnsafeMutableRawPointer? {
    try? Heap.global.reallocate(
      block, size: size, alignment: 16, newSize: newSize, newAlignment: 16, flags: .kernel, node: nil
    ).baseAddress
  }
  static func trim() { Heap.global.trim() }
  static var isHeap: Bool { true }
}

/// KAlloc, inlined into the workload; a constant size folds to its class.
enum Inlined: HeapBenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { Heap.global.allocate(size: size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { Heap.global.deallocate(block, size: size) }
  @inline(__always)
  static func allocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    Heap.global.allocate(size: size, alignment: alignment)
  }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int, alignment: Int) {
    Heap.global.deallocate(block, size: size, alignment: alignment)
  }
  @inline(__always)
  static func allocatePages(_ order: Int) -> UnsafeMutableRawPointer? { try? Heap.global.allocatePages(order: order) }
  @inline(__always)
  static func deallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int) {
    Heap.global.deallocatePages(pages, order: order)
  }
}

/// KAlloc behind a call, with the size as an argument.
enum Called: HeapBenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { calledAllocate(size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { calledDeallocate(block, size) }
  @inline(__always)
  static func allocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    calledAllocate(size, alignment: alignment)
  }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int, alignment: Int) {
    calledDeallocate(block, size, alignment: alignment)
  }
  @inline(__always)
  static func allocatePages(_ order: Int) -> UnsafeMutableRawPointer? { try? calledAllocatePages(order) }
  @inline(__always)
  static func deallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int) { calledDeallocatePages(pages, order) }
}

/// `malloc` and `free`: the C library's, or those of the library that was loaded before it.
enum Malloc: BenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { malloc(size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { free(block) }
  @inline(__always)
  static func allocateZeroed(_ size: Int) -> UnsafeMutableRawPointer? { calloc(1, size) }
  @inline(__always)
  static func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int, _ newSize: Int) -> UnsafeMutableRawPointer? {
    realloc(block, newSize)
  }
  @inline(__always)
  static func allocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer? { aligned_alloc(alignment, size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int, alignment: Int) { free(block) }
  @inline(__always)
  static func allocatePages(_ order: Int) -> UnsafeMutableRawPointer? { aligned_alloc(4096 << order, 4096 << order) }
  @inline(__always)
  static func deallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int) { free(pages) }
  static func trim() { bench_malloc_trim() }
  static var isHeap: Bool { false }
}

/// A block that there must be, and that the compiler cannot see through.
@inline(__always)
func kept(_ block: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
  guard let block else { bench_fail(1, "an allocation was refused") }
  bench_keep(block)
  return block
}
