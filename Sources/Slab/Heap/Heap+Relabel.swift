// A block that answers to a smaller size than its own.
//
// A shrink must not fail, yet a smaller block may not be there to be had. Then the old one is kept; a caller who cannot be told
// so will free it with the size that it asked for, and the free puts its address on the stack of that size's class, where
// it may be handed out again: a larger object serves where a smaller one does, as long as it lies as well aligned. So the block
// is relabelled: a bit among its slab's says that its address may be met on the stack of a smaller class. The bit is
// read where an address is about to be called foreign, and nowhere else; the free of a relabelled block costs nothing more.
// When the address comes to be returned to a slab of the smaller class it goes to its own instead, and the bit is cleared.
// A run that is freed without a size goes to the page level and not onto a stack, where its label would stay with it; an object's does
// stay until its address comes from a smaller class.
//
// The bit is written by the owner of the block and read by whoever got its address from there, so the program's own
// synchronisation, and (M) where the address went through a depot, order the two: relaxed.

import KAllocAtomics

extension Heap {
  /// Lets a block be freed as one of a smaller size from now on, in place of a block that cannot be had. False: it does not lie
  /// as such a block must, or is a mapping of its own, and nothing has changed.
  ///
  /// `size` and `alignment` name a size class, smaller than the block.
  ///
  /// > Safety: `block` is a live block of this heap. From now on its size is `size`.
  ///
  /// Thread-safety: Concurrent. O(1).
  public func relabel(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int = 16) -> Bool {
    let address = UInt64(UInt(bitPattern: block))
    guard let sizeClass = SizeClass(size: size, alignment: alignment), let state = existingState,
      let kind = state.kind(of: address), kind.bytes >= sizeClass.bytes, address & sizeClass.alignmentMask == 0,
      let label = state.label(address)
    else { return false }
    label.set()
    if case .large = kind { state.keepOffStacks(address) }
    return true
  }
}

extension SizeClass {
  /// The bits that are clear in the address of every object: below the largest power of two that divides the size.
  fileprivate var alignmentMask: UInt64 {
    let bytes = UInt64(truncatingIfNeeded: self.bytes)
    return min(bytes & ~(bytes &- 1), UInt64(SizeClass.maximumAlignment)) &- 1
  }
}

/// The bit that says of one block that it answers to a smaller size.
struct Label {
  let word: AtomicWord
  let mask: UInt64

  // Relaxed, all three: see the essay above.
  var isSet: Bool { word.loadRelaxed() & mask != 0 }
  func set() { _ = word.fetchOrRelaxed(mask) }
  /// Whether this call has cleared it.
  func clear() -> Bool { word.fetchAndRelaxed(~mask) & mask != 0 }
}

extension HeapState {
  /// The label of the object or run that begins at `address`; `nil`: none begins there that can have one.
  func label(_ address: UInt64) -> Label? {
    guard let region = pages(containing: address),
      let frame = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
    else { return nil }
    let table = SlabTable(of: region)
    let owner = table.owners[frame.rawValue].loadRelaxed()
    if SlabTable.Owner.isRun(owner) {
      return region.addressBits(of: frame) == address
        ? Label(word: table.bits[table.firstLabel(of: frame, frames: 1)], mask: 1) : nil
    }
    guard let sizeClass = SlabTable.Owner.sizeClass(owner) else { return nil }
    let geometry = info(StackIndex(sizeClass)).slab
    guard geometry.hasLabels, let (head, object) = table.place(address, geometry) else { return nil }
    return Label(
      word: table.bits[table.firstLabel(of: head, frames: geometry.frames) &+ object &>> 6],
      mask: 1 &<< UInt64(truncatingIfNeeded: object & 63))
  }

  /// Whether a block that answers to a smaller size begins at `address`.
  func isRelabelled(_ address: UInt64) -> Bool { label(address)?.isSet ?? false }

  /// Returns a relabelled block to where it came from; false: `address` is none.
  func returnRelabelled(_ address: UInt64) -> Bool {
    guard let label = label(address), label.clear() else { return false }
    switch kind(of: address) {
    case .object(let sizeClass): deallocateShared(info(StackIndex(sizeClass)), address)
    case .large: _ = returnLarge(address)
    case nil: return false
    }
    return true
  }
}
