import KAllocAtomics

/// A rule that a program broke in a way that corrupts memory. Reported in one line on standard error, then the process is aborted:
/// the heap is left as it is, for the debugger.
enum Misuse {
  /// The object is free already.
  case doubleFree
  /// The address is no object of this heap, or lies inside one.
  case foreignFree
  /// The size or the alignment is not that of the block.
  case wrongLayout
  /// The allocator's own words contradict each other: something wrote over them, or there is a bug in KAlloc.
  case metadata

  private var text: StaticString {
    switch self {
    case .doubleFree: "kalloc: double free: the block was freed before, at "
    case .foreignFree: "kalloc: foreign free: no block of this heap begins at "
    case .wrongLayout: "kalloc: wrong layout: size or alignment is not that of the block at "
    case .metadata: "kalloc: corrupt metadata: the allocator's words disagree about "
    }
  }

  /// Reports and ends the process.
  @inline(never)
  func trap(at address: UInt64) -> Never {
    Report.line(text, hexadecimal: address)
    ka_os_abort()
  }
}

/// Lines on standard error, without allocation: they are written from inside the allocator.
enum Report {
  /// Writes `text`, which is ASCII and has its line end, unless this process has written one this way.
  static func once(_ text: StaticString) {
    // SAFETY: a literal lies in memory, as many bytes as it has.
    unsafe UnsafeRawPointer(text.utf8Start).withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount) {
      unsafe ka_os_report_once($0, text.utf8CodeUnitCount)
    }
  }

  /// Writes `text`, the number in hexadecimal and a line end, with one system call.
  static func line(_ text: StaticString, hexadecimal number: UInt64) {
    var line = InlineArray<160, CChar>(repeating: 0)
    var count = min(text.utf8CodeUnitCount, 128)
    for index in 0..<count { line[index] = unsafe CChar(bitPattern: text.utf8Start[index]) }
    let digits: StaticString = "0123456789abcdef"
    line[count] = 0x30
    line[count + 1] = 0x78
    count += 2
    for shift in stride(from: 60, through: 0, by: -4) {
      line[count] = unsafe CChar(bitPattern: digits.utf8Start[Int(truncatingIfNeeded: number >> UInt64(shift) & 15)])
      count += 1
    }
    line[count] = 0x0a
    unsafe line.span.withUnsafeBufferPointer { unsafe ka_os_report($0.baseAddress.unsafelyUnwrapped, count + 1) }
  }
}
