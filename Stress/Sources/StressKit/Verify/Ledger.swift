/// What one worker did: the books that the conservation laws are about.
///
/// Summed over all workers, at every quiescent point:
/// `allocated − freed == live` (blocks), the same in bytes, and the granules that the shadow map holds are those of the live blocks.
struct Ledger: Codable, Equatable, Sendable {
  var allocated = 0
  var freed = 0
  var reallocated = 0
  /// Requests that were refused: expected at a limit only, and where the worker refuses by itself.
  var refused = 0
  /// Of those, the ones that the worker refused on purpose.
  var injected = 0
  var bytesAllocated = 0
  var bytesFreed = 0
  /// Blocks whose content was compared with what was written, and the bytes compared.
  var blocksChecked = 0
  var bytesChecked = 0
  /// Blocks asked for zeroed that were looked through.
  var zeroChecks = 0
  /// Granules claimed less granules released.
  var granulesHeld = 0

  var live: Int { allocated - freed }
  var liveBytes: Int { bytesAllocated - bytesFreed }
  var operations: Int { allocated + freed + reallocated + refused }

  static func + (left: Self, right: Self) -> Self {
    Self(
      allocated: left.allocated + right.allocated, freed: left.freed + right.freed,
      reallocated: left.reallocated + right.reallocated, refused: left.refused + right.refused,
      injected: left.injected + right.injected, bytesAllocated: left.bytesAllocated + right.bytesAllocated,
      bytesFreed: left.bytesFreed + right.bytesFreed,
      blocksChecked: left.blocksChecked + right.blocksChecked, bytesChecked: left.bytesChecked + right.bytesChecked,
      zeroChecks: left.zeroChecks + right.zeroChecks, granulesHeld: left.granulesHeld + right.granulesHeld)
  }
}
