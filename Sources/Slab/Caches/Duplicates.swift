// A batch of addresses that holds one of them twice: a double free whose two copies leave a CPU's stack together.
//
// Small batches are compared pair by pair. In a large one every address writes its place into a table, at the slot of its
// multiplicative hash; then each looks who stands there. The last writer finds itself. Of 256 addresses in 2,048 slots some
// 15 find another: those are compared with that one and among themselves, so that what is found is exact. Two copies of an
// address have one slot: either one of them stands in it and the other finds it, or both find a third.

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
  // An address's place in the batch.
  var places = InlineArray<2048, UInt8>(repeating: 0)
  var displaced = InlineArray<256, UInt8>(repeating: 0)
  var displacedCount = 0
  let count = min(count, StackInfo.maximumBatch)
  for index in 0..<count {
    unsafe places[unchecked: slot(of: addresses[index])] = UInt8(truncatingIfNeeded: index)
  }
  for index in 0..<count {
    let address = unsafe addresses[index]
    let found = unsafe Int(places[unchecked: slot(of: address)])
    if found == index { continue }
    if unsafe addresses[found] == address { return address }
    for other in 0..<displacedCount {
      if unsafe addresses[Int(displaced[unchecked: other])] == address { return address }
    }
    unsafe displaced[unchecked: displacedCount] = UInt8(truncatingIfNeeded: index)
    displacedCount &+= 1
  }
  return nil
}

/// The upper 11 bits of the address times 2^64 / the golden ratio.
@inline(__always)
private func slot(of address: UInt64) -> Int {
  Int(truncatingIfNeeded: (address &* 0x9e37_79b9_7f4a_7c15) &>> 53)
}
