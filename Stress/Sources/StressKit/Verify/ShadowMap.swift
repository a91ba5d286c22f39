import CStress

// Which 16-byte granules of the address space belong to a live block: one bit each.
//
//   address bits   47 … 30            29 … 10               9 … 4
//                  which leaf (2^18)  which word of it      which bit of that     one leaf: 8 MiB for 1 GiB of addresses
//
// Leaves are mapped on first use, and the system backs only the pages of a leaf that are touched.
//
// A worker sets the bits of a block when it is given out and clears them before it gives the block back. A bit that is
// set already is an overlap with another live block, at that instant, whatever the blocks contain. No allocator
// gives out two blocks in one granule: 16 bytes is the smallest that any of them deals in.
//
// Relaxed is enough throughout: each read-modify-write of one word is atomic by itself, and the question asked
// ("was it set?") concerns that word only. If the allocator hands a block from one thread to another correctly, it
// orders the first one's clearing before the second one's setting.

struct ShadowMap: Sendable {
  static let granule = 16
  private static let leafWords = 1 << 20

  private let leaves = MappedArray<UInt64>(count: 1 << 18)

  /// Takes the granules of a block: the address of the first one that another block holds, or `nil`.
  /// On an overlap the bits that were set stay set: the run is over.
  func claim(_ address: UInt, _ size: Int) -> UInt? {
    var overlap: UInt?
    forEachWord(address, size) { word, mask, start in
      let held = cs_fetch_or_relaxed(word, mask) & mask
      if held != 0, overlap == nil { overlap = start + UInt(held.trailingZeroBitCount * Self.granule) }
    }
    return overlap
  }

  /// Gives the granules back: the address of the first one that was not held, or `nil`.
  func release(_ address: UInt, _ size: Int) -> UInt? {
    var missing: UInt?
    forEachWord(address, size) { word, mask, start in
      let lost = ~cs_fetch_and_relaxed(word, ~mask) & mask
      if lost != 0, missing == nil { missing = start + UInt(lost.trailingZeroBitCount * Self.granule) }
    }
    return missing
  }

  /// Granules held. Only meaningful while no thread claims or releases; reads only what has been touched.
  func heldGranules() -> Int {
    var total = 0
    for leaf in 0..<leaves.count where leaves[leaf] != 0 {
      let words = UnsafePointer<UInt64>(bitPattern: UInt(leaves[leaf]))!
      for index in 0..<Self.leafWords { total += words[index].nonzeroBitCount }
    }
    return total
  }

  func unmap() {
    forget()
    leaves.unmap()
  }

  /// Forgets every granule and gives the memory back. Only while no thread claims or releases.
  func forget() {
    for leaf in 0..<leaves.count where leaves[leaf] != 0 {
      cs_unmap(UnsafeMutableRawPointer(bitPattern: UInt(leaves[leaf]))!, Self.leafWords * 8)
      leaves[leaf] = 0
    }
  }

  static func granules(_ address: UInt, _ size: Int) -> Int {
    let first = address / UInt(granule)
    let last = (address + UInt(size) - 1) / UInt(granule)
    return Int(last - first) + 1
  }

  @inline(__always)
  private func forEachWord(_ address: UInt, _ size: Int, _ body: (UnsafeMutablePointer<UInt64>, UInt64, UInt) -> Void) {
    var granule = address / UInt(Self.granule)
    var count = Self.granules(address, size)
    while count > 0 {
      let bit = Int(granule & 63)
      let taken = min(count, 64 - bit)
      let mask = (taken == 64 ? UInt64.max : (1 << UInt64(taken)) &- 1) << UInt64(bit)
      body(word(granule / 64), mask, granule / 64 * 64 * UInt(Self.granule))
      granule += UInt(taken)
      count -= taken
    }
  }

  @inline(__always)
  private func word(_ index: UInt) -> UnsafeMutablePointer<UInt64> {
    let slot = leaves.base + Int(index >> 20)
    precondition(index >> 20 < 1 << 18, "address beyond 2^48")
    // (A) acquire: sees the zeroed pages whose address was stored with (A) in `newLeaf`.
    var leaf = cs_load_acquire(slot)
    if leaf == 0 { leaf = newLeaf(slot) }
    return UnsafeMutablePointer<UInt64>(bitPattern: UInt(leaf))! + Int(index & UInt(Self.leafWords - 1))
  }

  private func newLeaf(_ slot: UnsafeMutablePointer<UInt64>) -> UInt64 {
    guard let pages = cs_map(Self.leafWords * 8) else { Program.lacks("address space for the shadow map") }
    let mine = UInt64(UInt(bitPattern: pages))
    // (A) release, by the compare-exchange: publishes the leaf; the loser of a race gives its own back.
    let found = cs_compare_exchange(slot, 0, mine)
    guard found != 0 else { return mine }
    cs_unmap(pages, Self.leafWords * 8)
    return found
  }
}
