// A batch of addresses that holds one of them twice: a double free whose two copies leave a CPU's stack together.
//
// Small batches are compared pair by pair. A large one fills a table on the stack, by a multiplicative hash, with the places of
// its addresses; a place that is taken leads to an address to compare with, so that what is found is exact. At most half of
// the table is used.

/// The address that occurs a second time among the first `count` of `addresses`; `nil`: none does.
///
/// O(count) up to `StackInfo.maximumBatch` addresses.
///
/// > Safety: `addresses` holds `count` addresses and is the caller's alone.
@unsafe
func firstDuplicate(in addresses: UnsafeMutablePointer<UInt64>, count: Int) -> UInt64? {
  if count <= 8 {
    for index in 1..<max(count, 1) {
      for other in 0..<index where unsafe addresses[index] == addresses[other] { return unsafe addresses[index] }
    }
    return nil
  }
  // 1 + the place in the batch; 0: free.
  var table = InlineArray<512, UInt16>(repeating: 0)
  for index in 0..<min(count, StackInfo.maximumBatch) {
    let address = unsafe addresses[index]
    var slot = Int(truncatingIfNeeded: (address &* 0x9e37_79b9_7f4a_7c15) &>> 55)
    while table[slot] != 0 {
      if unsafe addresses[Int(table[slot]) &- 1] == address { return address }
      slot = (slot &+ 1) & 511
    }
    table[slot] = UInt16(truncatingIfNeeded: index &+ 1)
  }
  return nil
}
