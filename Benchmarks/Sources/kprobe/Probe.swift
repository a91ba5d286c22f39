// The hit paths, each as a function of its own, for Scripts/check-instructions to disassemble. No two are the same down to the
// size, or the optimiser would make one of them. Running the program calls each, which shows that they are the real ones.

import KAlloc
import Slab

@_silgen_name("probe_allocate_constant")
@inline(never)
public func allocateConstant() -> UnsafeMutableRawPointer? {
  Heap.global.allocate(size: 64)
}

@_silgen_name("probe_deallocate_constant")
@inline(never)
public func deallocateConstant(_ block: UnsafeMutableRawPointer) {
  Heap.global.deallocate(block, size: 64)
}

@_silgen_name("probe_allocate_runtime")
@inline(never)
public func allocateRuntime(_ size: Int) -> UnsafeMutableRawPointer? {
  Heap.global.allocate(size: size)
}

@_silgen_name("probe_deallocate_runtime")
@inline(never)
public func deallocateRuntime(_ block: UnsafeMutableRawPointer, _ size: Int) {
  Heap.global.deallocate(block, size: size)
}

@_silgen_name("probe_alloc_constant")
@inline(never)
public func allocConstant() -> UnsafeMutableRawPointer? {
  alloc(96)
}

@_silgen_name("probe_dealloc_constant")
@inline(never)
public func deallocConstant(_ block: UnsafeMutableRawPointer) {
  dealloc(block, 96)
}

@main
enum Probe {
  static func main() {
    guard let first = allocateConstant(), let second = allocateRuntime(100), let third = allocConstant() else {
      fatalError("an allocation was refused")
    }
    deallocateConstant(first)
    deallocateRuntime(second, 100)
    deallocConstant(third)
  }
}
