// The hit paths, each as a function of its own, for Scripts/check-instructions to disassemble. No two are the same down to the
// size, or the optimiser would make one of them. Running the program calls each, which shows that they are the real ones.

import KAlloc
import KBoxed
import Slab

// MARK: Objects

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

@_silgen_name("probe_deallocate_unsized")
@inline(never)
public func deallocateUnsized(_ block: UnsafeMutableRawPointer) {
  Heap.global.deallocate(block)
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

@_silgen_name("probe_alloc_runtime")
@inline(never)
public func allocRuntime(_ size: Int) -> UnsafeMutableRawPointer? {
  alloc(size)
}

@_silgen_name("probe_dealloc_runtime")
@inline(never)
public func deallocRuntime(_ block: UnsafeMutableRawPointer, _ size: Int) {
  dealloc(block, size)
}

// MARK: Pages

@_silgen_name("probe_allocate_page")
@inline(never)
public func allocatePage() -> UnsafeMutableRawPointer? {
  try? Heap.global.allocatePages(order: 0)
}

@_silgen_name("probe_deallocate_page")
@inline(never)
public func deallocatePage(_ page: UnsafeMutableRawPointer) {
  Heap.global.deallocatePages(page, order: 0)
}

@_silgen_name("probe_allocate_pages_runtime")
@inline(never)
public func allocatePages(_ order: Int) throws(AllocError) -> UnsafeMutableRawPointer {
  try Heap.global.allocatePages(order: order)
}

@_silgen_name("probe_deallocate_pages_runtime")
@inline(never)
public func deallocatePages(_ pages: UnsafeMutableRawPointer, _ order: Int) {
  Heap.global.deallocatePages(pages, order: order)
}

// MARK: Boxes

@_silgen_name("probe_box_make")
@inline(never)
public func makeBox(_ value: Int) -> KBox<Int>? {
  try? KBox(value)
}

@_silgen_name("probe_box_drop")
@inline(never)
public func dropBox(_ box: consuming KBox<Int>) {}

@main
enum Probe {
  static func main() {
    guard let first = allocateConstant(), let second = allocateRuntime(100), let third = allocConstant(),
      let fourth = allocRuntime(200), let fifth = allocateRuntime(300), let page = allocatePage(),
      let pages = try? allocatePages(2), let box = makeBox(7)
    else { fatalError("an allocation was refused") }
    deallocateConstant(first)
    deallocateRuntime(second, 100)
    deallocConstant(third)
    deallocRuntime(fourth, 200)
    deallocateUnsized(fifth)
    deallocatePage(page)
    deallocatePages(pages, 2)
    guard box.value == 7 else { fatalError("a box has lost its value") }
    dropBox(box)
  }
}
