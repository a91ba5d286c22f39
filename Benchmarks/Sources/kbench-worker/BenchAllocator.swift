// The allocators that a worker can run its workloads on. Each workload is generic over them and specialised for each.

import CalledAllocator
import Glibc
import Slab

protocol BenchAllocator {
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer?
  /// `size` is what was asked for.
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int)
}

/// KAlloc, inlined into the workload; a constant size folds to its class.
enum Inlined: BenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { Heap.global.allocate(size: size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { Heap.global.deallocate(block, size: size) }
}

/// KAlloc behind a call, with the size as an argument.
enum Called: BenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { calledAllocate(size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { calledDeallocate(block, size) }
}

/// `malloc` and `free`: the C library's, or those of the library that was loaded before it.
enum Malloc: BenchAllocator {
  @inline(__always)
  static func allocate(_ size: Int) -> UnsafeMutableRawPointer? { malloc(size) }
  @inline(__always)
  static func deallocate(_ block: UnsafeMutableRawPointer, _ size: Int) { free(block) }
}
