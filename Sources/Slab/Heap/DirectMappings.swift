// Blocks above 1 GiB come straight from the operating system. A table remembers them: {address, bytes} per slot.
//
//     free (0) ──claim──▶ claimed (1) ──publish──▶ address ──take──▶ claimed (1) ──▶ free (0)
//
// The address word is the state: a slot is claimed by compare-exchange 0 → 1, published by the release of the address,
// and taken back by compare-exchange address → 1, so that of two threads that free the same block one finds nothing.
// A block is found by walking the table: system calls cost more. Label (D): the release of the address publishes its size,
// and the release of the size says that the address before it is no longer there, for who looks between two addresses.

import KAllocAtomics

/// The table of one heap's direct mappings, and the node of each. Thread-safety: Concurrent.
struct DirectMappings {
  private let words: WordArray

  /// Blocks that may exist at once.
  static let slots = 1024
  static var bytes: Int { slots * 16 }
  /// The size above which a block is mapped directly.
  static var threshold: Int { 1 << 30 }

  init(_ words: WordArray) { self.words = words }

  private static let claimed: UInt64 = 1

  private func address(_ slot: Int) -> AtomicWord { words[slot &* 2] }
  private func size(_ slot: Int) -> AtomicWord { words[slot &* 2 &+ 1] }

  /// A free slot, claimed; `nil`: all are in use.
  func claim() -> Int? {
    for slot in 0..<DirectMappings.slots
    where address(slot).loadRelaxed() == 0
      && address(slot).compareExchangeAcquire(0, DirectMappings.claimed) == 0  // (D) after the last owner's size
    {
      return slot
    }
    return nil
  }

  /// Where a size word holds the node.
  private static let nodeShift: UInt64 = 56

  private static func bytes(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word & (1 << nodeShift - 1)) }
  private static func node(_ word: UInt64) -> NodeIndex { NodeIndex(Int(truncatingIfNeeded: word >> nodeShift)) }

  /// Makes a claimed slot say that `bytes` of `node` are mapped at `block`; 0: frees the slot.
  func publish(_ slot: Int, _ block: UInt64, bytes: Int, node: NodeIndex = NodeIndex(0)) {
    let word = UInt64(truncatingIfNeeded: bytes) | UInt64(truncatingIfNeeded: node.rawValue) << DirectMappings.nodeShift
    size(slot).storeRelease(word)  // (D) after the claim
    address(slot).storeRelease(block)  // (D) publishes the size
  }

  /// The bytes mapped at `block`; `nil`: none of this heap's.
  func find(_ block: UInt64) -> Int? {
    guard block > DirectMappings.claimed else { return nil }
    for slot in 0..<DirectMappings.slots where address(slot).loadAcquire() == block {  // (D)
      return DirectMappings.bytes(size(slot).loadRelaxed())
    }
    return nil
  }

  /// The node of the mapping that `address` lies in; `nil`: in none of this heap's.
  func node(containing address: UInt64) -> NodeIndex? {
    for slot in 0..<DirectMappings.slots {
      let start = self.address(slot).loadAcquire()  // (D)
      if start <= DirectMappings.claimed || address < start { continue }
      // (D) acquire: with the size of a later mapping comes that `start` has left the slot.
      let word = size(slot).loadAcquire()
      if address &- start < UInt64(DirectMappings.bytes(word)), self.address(slot).loadRelaxed() == start {
        return DirectMappings.node(word)
      }
    }
    return nil
  }

  /// The node of the mapping in a slot that the caller has taken.
  func node(of slot: Int) -> NodeIndex { DirectMappings.node(size(slot).loadRelaxed()) }

  /// Claims the slot of `block`, which the caller may then unmap or move; `nil`: none of this heap's.
  func take(_ block: UInt64) -> (slot: Int, bytes: Int)? {
    guard block > DirectMappings.claimed else { return nil }
    for slot in 0..<DirectMappings.slots
    where address(slot).loadRelaxed() == block
      && address(slot).compareExchangeAcquire(block, DirectMappings.claimed) == block  // (D) the size of the block
    {
      return (slot, DirectMappings.bytes(size(slot).loadRelaxed()))
    }
    return nil
  }

  /// How many blocks there are, and their bytes.
  func statistics() -> (blocks: Int, bytes: Int) {
    var blocks = 0
    var bytes = 0
    // (D) acquire.
    for slot in 0..<DirectMappings.slots where address(slot).loadAcquire() > DirectMappings.claimed {
      blocks += 1
      bytes += DirectMappings.bytes(size(slot).loadRelaxed())
    }
    return (blocks, bytes)
  }
}
