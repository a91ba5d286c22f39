import CStress
import Glibc

/// The C library's malloc: the peer that a replay measures against, and a sound allocator to try the harness on.
struct SystemLibraryAllocator: AllocatorUnderTest {
  var name: String { "system" }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    guard alignment > 16 else { return zeroed ? calloc(1, size) : malloc(size) }
    var block: UnsafeMutableRawPointer?
    guard posix_memalign(&block, alignment, size) == 0, let block else { return nil }
    if zeroed { memset(block, 0, size) }
    return block
  }

  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) { free(block) }

  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int
  ) -> ResizedBlock? {
    guard alignment > 16 else { return realloc(block, newSize).map { ResizedBlock(address: $0, size: newSize) } }
    guard let moved = allocate(size: newSize, alignment: alignment, zeroed: false) else { return nil }
    memcpy(moved, block, min(size, newSize))
    free(block)
    return ResizedBlock(address: moved, size: newSize)
  }

  func usableSize(of block: UnsafeMutableRawPointer) -> Int? { malloc_usable_size(block) }

  func allocatePages(order: Int) -> UnsafeMutableRawPointer? {
    allocate(size: 4096 << order, alignment: 4096 << order, zeroed: false)
  }

  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int) { free(block) }

  func trim() -> Int {
    malloc_trim(0)
    return 0
  }
}
