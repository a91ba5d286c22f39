import CMalloc
import Slab

/// The call in which a program's mistake was seen. One line on standard error names it and the address, then SIGABRT; the
/// heap is left as it is, for the debugger.
enum Call {
  case free, realloc, reallocarray, mallocUsableSize, operatorDelete

  private var name: StaticString {
    switch self {
    case .free: "free"
    case .realloc: "realloc"
    case .reallocarray: "reallocarray"
    case .mallocUsableSize: "malloc_usable_size"
    case .operatorDelete: "operator delete"
    }
  }

  @inline(never)
  func fail(_ fault: BlockFault, _ address: UInt) -> Never {
    switch fault {
    case .foreign: fail("invalid pointer: no block begins there, or it was freed before", address)
    case .doubleFree: fail("double free", address)
    }
  }

  @inline(never)
  func fail(_ what: StaticString, _ address: UInt) -> Never {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
      var text = unsafe Text(buffer, file: 2)
      text.write("kalloc: ")
      text.write(name)
      text.write("(")
      text.write(hexadecimal: address)
      text.write("): ")
      text.write(what)
      text.write("\n")
      text.flush()
    }
    km_abort()
  }
}
