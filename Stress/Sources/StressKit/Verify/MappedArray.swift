import CStress

/// A fixed number of trivial values in pages straight from the operating system, zeroed.
///
/// The run's books (tables of live blocks, rings, counters) are kept in these, so that they do not lie in memory
/// of the allocator under test, whichever that is. Externally synchronised, element by element: hence the unchecked
/// `Sendable`, as who may touch an element is the owner's rule.
struct MappedArray<Element: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafeMutablePointer<Element>
  let count: Int
  private var byteCount: Int { max(1, count * MemoryLayout<Element>.stride) }

  init(count: Int) {
    self.count = count
    let bytes = max(1, count * MemoryLayout<Element>.stride)
    guard let pages = cs_map(bytes) else { Program.lacks("\(bytes) bytes for the books") }
    base = pages.bindMemory(to: Element.self, capacity: count)
  }

  func unmap() { cs_unmap(base, byteCount) }

  subscript(index: Int) -> Element {
    get {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      return base[index]
    }
    nonmutating set {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      base[index] = newValue
    }
  }
}
