// Return: objects come back to their slabs, and a slab that is wholly free ends. The protocol is in SlabTable.swift.

extension SlabTable {
  /// What an address is, by the region's metadata.
  @inline(__always)
  func place(_ address: UInt64, _ geometry: SlabGeometry) -> (head: FrameIndex, object: Int)? {
    // SAFETY: the address is only computed with.
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: UInt(address)), let frame = unsafe pages.frame(of: pointer),
      owners[frame.rawValue].loadRelaxed() == UInt8(truncatingIfNeeded: geometry.sizeClass.index &+ 1)
    else { return nil }
    let head = head(of: frame, geometry)
    let base = pages.addressBits(of: head)
    guard let object = geometry.object(at: Int(truncatingIfNeeded: address &- base)) else { return nil }
    return (head, object)
  }

  /// How many of the first `count` addresses are objects of the slabs of `geometry`'s class in this region and not free, up
  /// to the first that is not.
  ///
  /// > Safety: `addresses` holds `count` addresses.
  @unsafe
  func objects(in addresses: UnsafeMutablePointer<UInt64>, count: Int, _ geometry: SlabGeometry) -> Int {
    let bytes = UInt64(truncatingIfNeeded: (pages.blocks &* Frames.perBlock) &<< Frames.usualShift)
    return unsafe geometry.objects(
      in: addresses, count: count, origin: UInt64(pages.origin), bytes: bytes, owners: owners.base, bits: bits)
  }

  /// Returns the objects whose bits are set in `mask`, all in word `index` of the slab's bitmap.
  ///
  /// Two locked instructions. Traps where one of them is free already. Returns whether a slab ended: this
  /// one, or the empty one that was kept before it.
  @inline(__always)
  func give(_ mask: UInt64, word index: Int, of head: FrameIndex, _ geometry: SlabGeometry) -> Bool {
    setFree(mask, word: index, of: head, geometry)
    let free = raise(head, by: mask.nonzeroBitCount, geometry) &+ mask.nonzeroBitCount
    if geometry.isPurged(free: free) { hintPurge(head) }
    return free == geometry.objects && emptied(head, geometry)
  }

  /// The first step of a return: the bits. Traps where one is set.
  @inline(__always)
  func setFree(_ mask: UInt64, word index: Int, of head: FrameIndex, _ geometry: SlabGeometry) {
    // (B) release, so that the objects' last use is before the next owner's first.
    let before = bits[firstWord(of: head) &+ index].fetchOrRelease(mask)
    if before & mask != 0 {
      let object = index &<< 6 | (before & mask).trailingZeroBitCount
      Misuse.doubleFree.trap(at: pages.addressBits(of: head) &+ UInt64(object &* geometry.objectBytes))
    }
  }

  /// The second: the number. Returns how many objects were free before.
  @inline(__always)
  func raise(_ head: FrameIndex, by count: Int, _ geometry: SlabGeometry) -> Int {
    // (C) release; (H) (P) sequentially consistent before the hints.
    let was = SlabWord(
      bits: words[head.rawValue].fetchAddSequentiallyConsistent(UInt64(truncatingIfNeeded: count)))
    if was.free == 0 { hint(head, geometry.sizeClass) }
    return was.free
  }

  /// A slab was seen wholly free: keeps it where the class has no other empty one, ends it otherwise.
  func emptied(_ head: FrameIndex, _ geometry: SlabGeometry) -> Bool {
    let spare = spares[geometry.sizeClass.index]
    let mine = UInt64(truncatingIfNeeded: head.rawValue &+ 1)
    // (E) the slab's count was raised before.
    let kept = spare.loadSequentiallyConsistent()
    if kept == mine { return false }
    if kept != 0 {
      // Relaxed: a preference; the slab's word, by compare-exchange, says what is true.
      let other = SlabWord(bits: words[Int(truncatingIfNeeded: kept) &- 1].loadRelaxed())
      let otherIsEmpty = other.retiring(geometry.sizeClass, objects: geometry.objects) != nil
      if otherIsEmpty { return retire(head, geometry) }
    }
    // (E) the other is the spare no longer; then its count is looked at again.
    guard spare.compareExchangeSequentiallyConsistent(kept, mine) == kept else { return retire(head, geometry) }
    return kept != 0 && retire(FrameIndex(Int(truncatingIfNeeded: kept) &- 1), geometry)
  }

  /// Ends the slab if it is wholly free, and gives its frames back to the page level. False: an object is out.
  func retire(_ head: FrameIndex, _ geometry: SlabGeometry) -> Bool {
    let word = words[head.rawValue]
    let found = word.loadSequentiallyConsistent()  // (E)
    guard let next = SlabWord(bits: found).retiring(geometry.sizeClass, objects: geometry.objects) else { return false }
    // (C) acquire, so that every user's stores are before the frames leave.
    // A slab that somebody took from meanwhile stays: they or the next give see to it.
    guard word.compareExchangeAcquire(found, next.bits) == found else { return false }
    // From here on the slab is this thread's alone: no hint, no owner, no word leads to it.
    unhint(head, geometry.sizeClass)
    for frame in head.rawValue..<head.rawValue &+ geometry.frames { owners[frame].storeRelaxed(Owner.none) }
    release(head, frames: geometry.frames)
    return true
  }

  /// Gives a run back to the page level, which publishes it with all that was written before.
  func release(_ head: FrameIndex, frames: Int) {
    if !pages.free(head, frames: frames) {
      Misuse.metadata.trap(at: pages.addressBits(of: head))
    }
  }

  /// Ends the empty slab of `sizeClass` that was kept, where there is one. Returns whether.
  func retireSpare(_ sizeClass: SizeClass) -> Bool {
    // (E) the slab is the spare no longer; then its count is looked at.
    let kept = spares[sizeClass.index].exchangeSequentiallyConsistent(0)
    return kept != 0 && retire(FrameIndex(Int(truncatingIfNeeded: kept) &- 1), geometry(sizeClass))
  }
}
