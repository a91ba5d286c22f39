/// A live block as the books know it. All zero: no block.
struct Block: BitwiseCopyable, Sendable {
  var address: UInt
  var size: Int
  /// The seed of the content: made of the run's seed, the address, the size and a serial number. 0: a scenario's own values.
  var stamp: UInt64
  var alignment: Int32
  /// The page order, or -1 for a block asked for by size.
  var order: Int16
  /// The worker that allocated it.
  var owner: Int16

  static let none = Block(address: 0, size: 0, stamp: 0, alignment: 0, order: 0, owner: 0)

  var exists: Bool { address != 0 }
  var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }
  var description: String {
    "block 0x\(String(address, radix: 16)), \(size) bytes"
      + (order >= 0 ? " (order \(order))" : ", alignment \(alignment)") + ", worker \(owner)"
  }
}
