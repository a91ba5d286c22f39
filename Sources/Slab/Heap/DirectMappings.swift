// Blocks above 1 GiB come straight from the operating system. A table remembers them: {address, bytes} per slot.
//
//     free (0) ──claim──▶ claimed (1) ──publish──▶ address ──take──▶ claimed (1) ──▶ free (0)
//
// The address word is the state: a slot is claimed by compare-exchange 0 → 1, published by the release of the address,
// and taken back by compare-exchange address → 1, so that of two threads that free the same block one finds nothing.
// A block is found by walking the table: system calls cost more. Label (D): the release publishes `bytes`.

import KAllocAtomics

/// The table of one heap's direct mappings. Thread-safety: Concurrent.
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

  /// Makes a claimed slot say that `bytes` are mapped at `block`; 0: frees the slot.
  func publish(_ slot: Int, _ block: UInt64, bytes: Int) {
    size(slot).storeRelaxed(UInt64(truncatingIfNeeded: bytes))
    address(slot).storeRelease(block)  // (D) publishes the size
  }

  /// The bytes mapped at `block`; `nil`: none of this heap's.
  func find(_ block: UInt64) -> Int? {
    guard block > DirectMappings.claimed else { return nil }
    for slot in 0..<DirectMappings.slots where address(slot).loadAcquire() == block {  // (D)
      return Int(truncatingIfNeeded: size(slot).loadRelaxed())
    }
    return nil
  }

  /// Claims the slot of `block`, which the caller may then unmap or move; `nil`: none of this heap's.
  func take(_ block: UInt64) -> (slot: Int, bytes: Int)? {
    guard block > DirectMappings.claimed else { return nil }
    for slot in 0..<DirectMappings.slots
    where address(slot).loadRelaxed() == block
      && address(slot).compareExchangeAcquire(block, DirectMappings.claimed) == block  // (D) the size of the block
    {
      return (slot, Int(truncatingIfNeeded: size(slot).loadRelaxed()))
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
      bytes += Int(truncatingIfNeeded: size(slot).loadRelaxed())
    }
    return (blocks, bytes)
  }
}
