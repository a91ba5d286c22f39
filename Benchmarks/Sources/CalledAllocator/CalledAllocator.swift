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

@inline(never)
public func calledAllocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer? {
  Heap.global.allocate(size: size, alignment: alignment)
}

@inline(never)
public func calledDeallocate(_ block: UnsafeMutableRawPointer, _ size: Int, alignment: Int) {
  Heap.global.deallocate(block, size: size, alignment: alignment)
}

@inline(never)
public func calledAllocatePages(_ order: Int) throws(AllocError) -> UnsafeMutableRawPointer {
  try Heap.global.allocatePages(order: order)
}

@inline(never)
public func calledDeallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int) {
  Heap.global.deallocatePages(pages, order: order)
}
