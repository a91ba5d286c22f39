// What the heap knows of an address, and pages by order.

import KAllocAtomics

extension HeapState {
  /// What begins at an address.
  enum Kind: Equatable {
    case object(SizeClass)
    case large(bytes: Int)

    var bytes: Int {
      switch self {
      case .object(let sizeClass): sizeClass.bytes
      case .large(let bytes): bytes
      }
    }
  }

  /// The kind of block that begins at `address`; `nil`: none of this heap's. Whether it is live is not known.
  func kind(of address: UInt64) -> Kind? {
    guard let region = pages(containing: address) else { return largeSize(of: address).map { .large(bytes: $0) } }
    // SAFETY: computed with, not read; the region contains it.
    let frame = unsafe region.frame(of: UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
    let table = SlabTable(of: region)
    guard let owner = frame.map({ table.owners[$0.rawValue].loadRelaxed() }) else { return nil }
    if SlabTable.Owner.isRun(owner) { return largeSize(of: address).map { .large(bytes: $0) } }
    guard let sizeClass = SlabTable.Owner.sizeClass(owner) else { return nil }
    return table.place(address, info(StackIndex(sizeClass)).slab) == nil ? nil : .object(sizeClass)
  }
}

extension HeapState {
  /// The address of 2^`order` frames.
  fileprivate func takePages(_ order: Int, _ flags: AllocFlags) -> Result<UInt64, AllocError> {
    switch takeRun(frames: 1 << order, alignment: 1 << order, flags: flags, from: localNode) {
    case .success(let run):
      SlabTable(of: run.pages).owners[run.first.rawValue].storeRelaxed(StackIndex.owner(ofPages: order))
      return .success(run.pages.addressBits(of: run.first))
    case .failure(let error): return .failure(error)
    }
  }
}

extension Heap {
  /// Whether `address` lies in memory that this heap hands out. Thread-safety: Concurrent.
  public func owns(_ address: UnsafeRawPointer) -> Bool {
    guard let state = existingState else { return false }
    let address = UInt64(UInt(bitPattern: address))
    return state.pages(containing: address) != nil || state.growsByOS && state.direct.node(containing: address) != nil
  }

  /// The node whose memory `address` lies in; `nil`: none of this heap's. Thread-safety: Concurrent.
  public func node(of address: UnsafeRawPointer) -> NodeIndex? {
    guard let state = existingState else { return nil }
    let address = UInt64(UInt(bitPattern: address))
    if let region = state.pages(containing: address) { return region.node }
    return state.growsByOS ? state.direct.node(containing: address) : nil
  }

  // MARK: Pages

  /// Allocates 2^`order` frames of 4 KiB, naturally aligned. Not initialised.
  ///
  /// Small orders come from a stack of the CPU, as objects do. O(1) but for refills.
  /// - Throws: `.invalidLayout` (order outside 0 ... 40), `.sizeTooLarge` and `.unsupportedAlignment` (no window or range
  ///   has such a run), `.limitExceeded`, `.outOfMemory`, `.nodeUnavailable`.
  ///
  /// Thread-safety: Concurrent.
  @inlinable @inline(__always)
  public func allocatePages(order: Int, flags: AllocFlags = .kernel) throws(AllocError) -> UnsafeMutableRawPointer {
    if let stack = Heap.pageStackOffset(order) {
      let object = unsafe ka_section_pop(handle, stack)
      if let pages = unsafe UnsafeMutableRawPointer(bitPattern: UInt(object)) { return unsafe pages }
    }
    return unsafe try allocatePagesOrThrow(order, flags)
  }

  /// Out of line, and not only for its size: with a `throw` in it the hit path would need a frame.
  @usableFromInline @inline(never)
  func allocatePagesOrThrow(_ order: Int, _ flags: AllocFlags) throws(AllocError) -> UnsafeMutableRawPointer {
    switch allocatePagesSlow(order, flags) {
    case .success(let address): return unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
    case .failure(let error): throw error
    }
  }

  private func allocatePagesSlow(_ order: Int, _ flags: AllocFlags) -> Result<UInt64, AllocError> {
    guard (0...40).contains(order) else { return .failure(.invalidLayout) }
    switch state() {
    case .failure(let error): return .failure(error)
    case .success(let state):
      if order >= StackIndex.pageOrders {
        if let refusal = state.refusal(run: 1 << order, alignment: Frames.bytes << order) { return .failure(refusal) }
      }
      var reclaim = Reclaim(state, flags)
      while true {
        let result =
          order < StackIndex.pageOrders
          ? state.allocateSlow(StackIndex(pageOrder: order), flags: flags) : state.takePages(order, flags)
        guard case .failure(let error) = result, reclaim.helps(error) else { return result }
      }
    }
  }

  /// Frees what `allocatePages` gave, with the same order. Traps, at the latest when the pages leave the CPU's cache,
  /// where they are free already or not of this heap.
  ///
  /// > Safety: the pages are not used afterwards.
  ///
  /// Thread-safety: Concurrent.
  @inlinable @inline(__always)
  public func deallocatePages(_ pages: UnsafeMutableRawPointer, order: Int) {
    if let stack = Heap.pageStackOffset(order) {
      if unsafe ka_section_push(handle, stack, UInt64(UInt(bitPattern: pages))) { return }
    }
    unsafe deallocatePagesSlow(pages, order)
  }

  @usableFromInline @inline(never)
  func deallocatePagesSlow(_ pages: UnsafeMutableRawPointer, _ order: Int) {
    let address = UInt64(UInt(bitPattern: pages))
    guard let state = existingState else { Misuse.foreignFree.trap(at: address) }
    if order >= 0 && order < StackIndex.pageOrders {
      return state.deallocateSlow(StackIndex(pageOrder: order), address)
    }
    guard (0...40).contains(order), let region = state.pages(containing: address),
      let frame = unsafe region.frame(of: pages)
    else { Misuse.foreignFree.trap(at: address) }
    if !state.arePages(address, order: order, of: region) { state.trapPages(address, of: region) }
    SlabTable(of: region).owners[frame.rawValue].storeRelaxed(SlabTable.Owner.none)
    state.giveRun(region, frame, frames: 1 << order)
    state.purgeInPassing(region)
  }

  /// The byte in a CPU region at which the stack of pages of `order` stands; `nil`: that order has none.
  @inlinable @inline(__always)
  static func pageStackOffset(_ order: Int) -> UInt64? {
    guard UInt(bitPattern: order) < UInt(bitPattern: StackIndex.pageOrders) else { return nil }
    return SizeClass(index: SizeClass.count &+ order).stack
  }
}
