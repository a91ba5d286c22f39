// The rest of the family: aligned blocks, resizing, and the names under which other standards and times know them.

import CMalloc
import Slab

// MARK: Resizing

@c(km_realloc)
public func realloc(_ block: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
  unsafe resize(block, size, .realloc)
}

@c(km_reallocarray)
public func reallocarray(_ block: UnsafeMutableRawPointer?, _ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
  let (bytes, overflow) = UInt(bitPattern: count).multipliedReportingOverflow(by: UInt(bitPattern: size))
  guard !overflow, let total = Int(exactly: bytes) else { return unsafe refused() }
  return unsafe resize(block, total, .reallocarray)
}

@inline(__always)
private func resize(_ block: UnsafeMutableRawPointer?, _ size: Int, _ call: Call) -> UnsafeMutableRawPointer? {
  guard let block = unsafe block else { return unsafe malloc(size) }
  if size == 0 {
    unsafe freeSlow(block, call)
    return nil
  }
  if size < 0 { return unsafe refused() }
  return unsafe reallocate(block, size, call)
}

// MARK: Aligned blocks

/// 2^63, which is negative here, is one: no block lies on such a boundary, so what is missing is memory.
@inline(__always)
private func isPowerOfTwo(_ alignment: Int) -> Bool { alignment != 0 && alignment & (alignment &- 1) == 0 }

@c(km_posix_memalign)
public func posixMemalign(
  _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: Int, _ size: Int
) -> Int32 {
  guard isPowerOfTwo(alignment), alignment & 7 == 0 else { return EINVAL }
  // errno stays, and where nothing is had the result too.
  let before = km_errno()
  guard let block = unsafe allocateAligned(size, alignment) else {
    km_set_errno(before)
    return ENOMEM
  }
  unsafe result.pointee = block
  return 0
}

@c(km_aligned_alloc)
public func alignedAlloc(_ alignment: Int, _ size: Int) -> UnsafeMutableRawPointer? {
  guard isPowerOfTwo(alignment) else {
    km_set_errno(EINVAL)
    return nil
  }
  return unsafe allocateAligned(size, alignment)
}

/// Any alignment up to half the address space counts as the next power of two.
@c(km_memalign)
public func memalign(_ alignment: Int, _ size: Int) -> UnsafeMutableRawPointer? {
  guard alignment >= 0 || alignment == .min else {
    km_set_errno(EINVAL)
    return nil
  }
  if alignment.magnitude > 1 << 62 { return unsafe refused() }
  let power = alignment <= 16 ? 16 : 1 << (Int.bitWidth - (alignment - 1).leadingZeroBitCount)
  return unsafe allocateAligned(size, power)
}

@c(km_valloc)
public func valloc(_ size: Int) -> UnsafeMutableRawPointer? { unsafe allocateAligned(size, Alignment.page) }

@c(km_pvalloc)
public func pvalloc(_ size: Int) -> UnsafeMutableRawPointer? {
  guard size >= 0, size <= .max - Alignment.page else { return unsafe refused() }
  return unsafe allocateSlow(
    max((size + Alignment.page - 1) & ~(Alignment.page - 1), Alignment.page), Alignment.page, zero: false)
}

// MARK: Frees that know more

/// C23. The size is not trusted: the block's own is looked up.
@c(km_free_sized)
public func freeSized(_ block: UnsafeMutableRawPointer?, _ size: Int) { unsafe free(block) }

@c(km_free_aligned_sized)
public func freeAlignedSized(_ block: UnsafeMutableRawPointer?, _ alignment: Int, _ size: Int) { unsafe free(block) }

@c(km_cfree)
public func cfree(_ block: UnsafeMutableRawPointer?) { unsafe free(block) }
