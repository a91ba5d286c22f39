import Glibc

extension UnsafeMutableRawPointer {
  /// The address as a number, for alignment and order.
  var bits: UInt { UInt(bitPattern: self) }
}

/// Whether each of the bytes is `value`. By comparing them with themselves, one further on: a loop takes a debug build long.
func allBytes(_ bytes: UnsafeMutableRawBufferPointer, are value: UInt8) -> Bool {
  guard let start = bytes.baseAddress, bytes.count > 0 else { return true }
  return bytes[0] == value && memcmp(start, start + 1, bytes.count - 1) == 0
}
