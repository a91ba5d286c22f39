import KAllocAtomics

/// Where a heap's own words come from: mappings of the operating system, or the front of a range that was given.
struct MetadataSource {
  /// What is left of the given range; `nil`: ask the operating system.
  private var given: Range<UInt>?

  init(_ memory: HeapConfiguration.Memory?) {
    given = memory.map { memory in
      let base = UInt(bitPattern: unsafe memory.base)
      return base..<base + UInt(max(memory.bytes, 0))
    }
  }

  /// Zeroed memory on a page boundary; `nil`: there is none.
  mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
    guard let range = given else {
      guard let memory = unsafe ka_os_map(bytes, Int(KA_OS_PAGE_BYTES)) else { return nil }
      unsafe ka_os_no_huge_pages(memory, bytes)
      return unsafe memory
    }
    let start = (range.lowerBound + 4095) & ~4095
    guard bytes >= 0, start <= range.upperBound, range.upperBound - start >= UInt(bytes),
      let memory = unsafe UnsafeMutableRawPointer(bitPattern: start)
    else { return nil }
    given = start + UInt(bytes)..<range.upperBound
    // SAFETY: the caller gave the range, and nothing of it is in use yet.
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    return unsafe memory
  }

  /// What is left of the given range, for frames.
  var rest: HeapConfiguration.Memory? {
    guard let given, let base = unsafe UnsafeMutableRawPointer(bitPattern: given.lowerBound) else { return nil }
    return unsafe HeapConfiguration.Memory(base, bytes: Int(given.upperBound - given.lowerBound))
  }
}
