import CMalloc

/// Text on its way to a file descriptor or a stream, gathered in a buffer of the caller's: nothing is allocated.
///
/// ## Invariants
/// `buffer` outlives the value and is its alone; `count` bytes of it are text.
@safe
struct Text: ~Copyable {
  private let buffer: UnsafeMutableBufferPointer<UInt8>
  private var count = 0
  private let file: Int32
  private let stream: UnsafeMutablePointer<FILE>?

  @unsafe
  init(_ buffer: UnsafeMutableBufferPointer<UInt8>, file: Int32, stream: UnsafeMutablePointer<FILE>? = nil) {
    unsafe self.buffer = buffer
    self.file = file
    unsafe self.stream = stream
  }

  mutating func flush() {
    // SAFETY: by the invariant, `count` bytes are initialised.
    unsafe UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped).withMemoryRebound(to: CChar.self, capacity: count) {
      if let stream = unsafe stream {
        _ = unsafe km_print(stream, $0, count)
      } else {
        unsafe km_write(file, $0, count)
      }
    }
    count = 0
  }

  mutating func write(byte: UInt8) {
    if unsafe count == buffer.count { flush() }
    unsafe buffer[count] = byte
    count += 1
  }

  mutating func write(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { unsafe write(byte: text.utf8Start[index]) }
  }

  mutating func write(_ number: Int) {
    if number < 0 { write("-") }
    var magnitude = number.magnitude
    var divisor: UInt = 1
    while magnitude / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      write(byte: UInt8(truncatingIfNeeded: 0x30 + magnitude / divisor))
      magnitude %= divisor
      divisor /= 10
    }
  }

  mutating func write(hexadecimal number: UInt) {
    write("0x")
    var shift = 60
    while shift > 0 && number >> UInt(shift) == 0 { shift -= 4 }
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt(shift) & 15)
      write(byte: digit < 10 ? 0x30 + digit : 0x57 + digit)
      shift -= 4
    }
  }
}
