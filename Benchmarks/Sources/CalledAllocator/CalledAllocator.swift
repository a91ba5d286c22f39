// The allocator behind a call: the size is an argument, and no optimiser looks through it, as none looks through `malloc`.

import Slab

@inline(never)
public func calledAllocate(_ size: Int) -> UnsafeMutableRawPointer? {
  Heap.global.allocate(size: size)
}

@inline(never)
public func calledDeallocate(_ block: UnsafeMutableRawPointer, _ size: Int) {
  Heap.global.deallocate(block, size: size)
}
