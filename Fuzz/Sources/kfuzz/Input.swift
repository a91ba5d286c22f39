import Glibc

/// The bytes of an input, read from the front. Behind their end there are only zeros, and the program is over.
struct Input {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  var isAtEnd: Bool { place >= bytes.count }

  mutating func byte() -> Int {
    guard place < bytes.count else { return 0 }
    defer { place += 1 }
    return Int(bytes[place])
  }

  mutating func word() -> Int { byte() << 8 | byte() }
  mutating func below(_ bound: Int) -> Int { byte() % bound }

  /// Sizes that an allocator must serve: mostly small, at and beside powers of two, up to 4 MiB.
  mutating func size() -> Int {
    switch below(8) {
    case 0...2: return byte() + 1
    case 3, 4: return word() & 0x7FFF + 1
    case 5: return max(1, 1 << below(17) + byte() % 9 - 4)
    case 6: return 32 * 1024 - 8 + below(17)
    default: return (word() + 1) * 64
    }
  }

  /// To 16 KiB; one in 16 to 2 MiB.
  mutating func alignment() -> Int {
    let exponent = byte()
    return 1 << (exponent >= 240 ? 14 + exponent % 8 : exponent % 15)
  }

  mutating func oddSize() -> Int { [0, -1, Int.min, Int.max, Int.max - 4095, 1 << 62, 1 << 47, 1 << 41][below(8)] }
  mutating func oddAlignment() -> Int { [0, 3, -16, Int.min, 24, 1 << 62, 16, 1][below(8)] }
}

/// Ends the process with what is wrong; libFuzzer keeps the input.
func fail(_ what: String) -> Never {
  report("kfuzz: \(what)\n")
  abort()
}

/// Writes to standard error.
func report(_ line: String) {
  var line = line
  line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

func require(_ condition: Bool, _ what: @autoclosure () -> String) {
  if !condition { fail(what()) }
}
