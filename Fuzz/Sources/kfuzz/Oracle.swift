import Slab

// What is known without the allocator: the live blocks, one after the other in an array, and what each contains. Every
// look-up goes through all of them: there are a few hundred at most, and nothing here can be wrong in a clever way.

/// A live block.
struct Live {
  var address: UInt
  /// What it goes by: asked for, or more where a shrink kept the block.
  var size: Int
  var usable: Int
  var alignment: Int
  /// Which heap of the program.
  var heap: Int
  /// The page order, or `nil` for a block of bytes.
  var order: Int?
  /// Whether its size is the allocator's secret since `reallocateUnsized`.
  var isUnsized = false
  /// Whether it was relabelled: then it can only be freed.
  var isRelabelled = false
  /// Decides the content.
  var stamp: UInt8

  var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }

  /// Calls `body` for the offsets below `end` that are written and checked: the first 4 KiB, samples behind, the last 64
  /// of the block. Which they are follows from the block alone.
  private func forEachOffset(below end: Int, _ body: (Int) -> Void) {
    var offset = 0
    while offset < end {
      body(offset)
      offset += offset < 4096 || offset >= usable - 64 ? 1 : min(509, usable - 64 - offset)
    }
  }

  private func byte(_ offset: Int) -> UInt8 { (stamp &+ UInt8(truncatingIfNeeded: offset &* 31)) | 1 }

  func write() { forEachOffset(below: usable) { pointer.storeBytes(of: byte($0), toByteOffset: $0, as: UInt8.self) } }

  /// Checks the first `count` bytes at `place`, which may be where the block has moved to.
  func check(_ what: String, at place: UnsafeMutableRawPointer? = nil, count: Int? = nil) {
    let memory = place ?? pointer
    forEachOffset(below: min(count ?? usable, usable)) {
      let found = memory.load(fromByteOffset: $0, as: UInt8.self)
      require(found == byte($0), "\(what): byte \($0) of \(self) is \(found), not \(byte($0))")
    }
  }
}

/// All live blocks of a program.
struct Oracle {
  private(set) var blocks: [Live] = []
  private var stamps: UInt8 = 0

  var liveBytes: Int { blocks.reduce(0) { $0 + $1.usable } }

  /// A block that was given out: aligned, where nothing else is, filled.
  mutating func add(_ block: Live, _ what: String) {
    var block = block
    require(block.address != 0, "\(what): a null block")
    require(block.address % UInt(block.alignment) == 0, "\(what): \(block) is not aligned to \(block.alignment)")
    require(block.usable >= block.size, "\(what): \(block) has fewer usable bytes than were asked for")
    for other in blocks {
      let apart =
        block.address + UInt(block.usable) <= other.address || other.address + UInt(other.usable) <= block.address
      require(apart, "\(what): \(block) overlaps \(other)")
    }
    stamps = stamps &+ 37
    block.stamp = stamps
    block.write()
    blocks.append(block)
  }

  /// Takes a block out, its content checked.
  mutating func remove(_ index: Int, _ what: String) -> Live {
    let block = blocks.swapOut(index)
    block.check(what)
    return block
  }

  /// Puts a block back that a refused request has left alone.
  mutating func putBack(_ block: Live, _ what: String) {
    block.check(what)
    blocks.append(block)
  }
}

extension Array {
  fileprivate mutating func swapOut(_ index: Int) -> Element {
    swapAt(index, count - 1)
    return removeLast()
  }
}

func requireZero(_ memory: UnsafeMutableRawPointer, _ range: Range<Int>, _ what: String) {
  for offset in range where memory.load(fromByteOffset: offset, as: UInt8.self) != 0 {
    fail("\(what): byte \(offset) of those asked for zeroed is not zero")
  }
}

/// The smallest class of at least `size` bytes in a multiple of `alignment`, counted up; `nil`: no class serves that.
func classBytes(size: Int, alignment: Int) -> Int? {
  let padded = (size + alignment - 1) / alignment * alignment
  guard padded <= 32 * 1024, alignment <= 4096 else { return nil }
  var (bytes, step) = (16, 16)
  while bytes < padded {
    bytes += step
    // Four classes per doubling.
    if bytes > 128, bytes == step * 8 { step *= 2 } else if bytes == 128 { step = 32 }
  }
  return bytes
}
