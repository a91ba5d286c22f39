import KAllocAtomics

extension PageRegion {
  /// Bytes that the metadata of `frames` frames needs, wherever they begin.
  ///
  /// About 0.006 % of 4 KiB frames. Nearly all of it is touched only when the frames it describes are.
  public static func metadataBytes(frames: Int) -> Int {
    // One block more for a range that begins inside one; 64 bytes more for metadata that is not aligned.
    RegionLayout(blocks: Swift.max(frames, 0) / Frames.perBlock + 2).bytes + 64
  }

  /// Makes the frames of a range available.
  ///
  /// The range may have any address and size: what is no whole frame at its ends is left out.
  /// - Parameters:
  ///   - bytes: the size of the range.
  ///   - frameShift: the binary logarithm of a frame's bytes, 4 ... 30; at least 12 for `.reserved`.
  ///   - reserveFrames: frames that only `.useReserve` may take.
  ///   - backing: whose memory it is.
  ///   - metadata: at least `metadataBytes` of the range's frames. Where nil, it is taken from the operating system
  ///     (`.reserved`) or from the front of the range (`.given`).
  /// - Throws: `invalidLayout` for a range without one frame, or one that ends beyond the address space, or metadata
  ///   that is too small; `unsupportedAlignment` for the frame shift; `outOfMemory` where metadata cannot be had.
  /// - Complexity: O(1) for `.reserved`, O(blocks) for `.given`.
  ///
  /// > Safety: the range and the metadata are the region's alone until `destroy`.
  ///
  /// Externally synchronised: the region is published by whoever shares the handle.
  public static func create(
    base: UnsafeMutableRawPointer, bytes: Int, frameShift: Int = Frames.usualShift, node: NodeIndex,
    reserveFrames: Int = 0, backing: Backing, metadata: UnsafeMutableRawBufferPointer? = nil
  ) throws(AllocError) -> PageRegion {
    switch unsafe make(
      base: base, bytes: bytes, frameShift: frameShift, node: node, reserveFrames: reserveFrames, backing: backing,
      metadata: metadata)
    {
    case .success(let region): return region
    case .failure(let failure): throw failure
    }
  }

  /// As `create`, without throwing.
  static func make(
    base: UnsafeMutableRawPointer, bytes: Int, frameShift: Int = Frames.usualShift, node: NodeIndex,
    reserveFrames: Int = 0, backing: Backing, metadata: UnsafeMutableRawBufferPointer? = nil
  ) -> Result<PageRegion, AllocError> {
    guard frameShift >= (backing == .reserved ? Frames.usualShift : 4), frameShift <= 30 else {
      return .failure(.unsupportedAlignment)
    }
    let start = UInt(bitPattern: base)
    let (end, overflow) = start.addingReportingOverflow(UInt(bitPattern: bytes))
    guard bytes > 0, !overflow, reserveFrames >= 0 else { return .failure(.invalidLayout) }

    let needed = metadataBytes(frames: bytes >> frameShift)
    var first = start
    let memory: UInt
    var mapped = 0
    if let metadata = unsafe metadata {
      guard metadata.count >= needed, let address = metadata.baseAddress else { return .failure(.invalidLayout) }
      memory = UInt(bitPattern: address)
      // SAFETY: the caller gives these bytes to the region.
      unsafe address.initializeMemory(as: UInt8.self, repeating: 0, count: needed)
    } else if backing == .given {
      guard needed < bytes else { return .failure(.outOfMemory) }
      memory = start
      first = start + UInt(bitPattern: needed)
      // SAFETY: the caller gives the range to the region, and `needed` bytes of it lie before its frames.
      unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: needed)
    } else {
      mapped = (needed + pageBytes - 1) & ~(pageBytes - 1)
      // SAFETY: a fresh mapping, zeroed.
      guard let pages = unsafe ka_os_map(mapped, pageBytes) else { return .failure(.outOfMemory) }
      unsafe ka_os_no_huge_pages(pages, mapped)
      memory = UInt(bitPattern: pages)
    }

    let frameMask = (UInt(1) << UInt(frameShift)) - 1
    let blockMask = (UInt(Frames.perBlock) << UInt(frameShift)) - 1
    let usableStart = (first &+ frameMask) & ~frameMask
    let usableEnd = end & ~frameMask
    guard usableStart < usableEnd, usableStart >= first else {
      if mapped > 0 { unsafe ka_os_unmap(UnsafeMutableRawPointer(bitPattern: memory).unsafelyUnwrapped, mapped) }
      return .failure(.invalidLayout)
    }
    let origin = usableStart & ~blockMask
    let limit = Int(bitPattern: (usableEnd - origin) >> UInt(frameShift))
    let layout = RegionLayout(blocks: (limit + Frames.perBlock - 1) / Frames.perBlock)
    let aligned = (memory + 63) & ~63

    // SAFETY: `aligned` lies in the metadata, which is zeroed, 64-byte aligned and at least `layout.bytes` long.
    let header = unsafe UnsafeMutablePointer<RegionHeader>(bitPattern: aligned).unsafelyUnwrapped
    assert(MemoryLayout<RegionHeader>.size <= RegionLayout.countersOffset)
    unsafe header.initialize(
      to: RegionHeader(
        origin: origin, head: Int(bitPattern: (usableStart - origin) >> UInt(frameShift)), limit: limit,
        shift: frameShift, blocks: layout.blocks, node: node, backing: backing, reserveFrames: reserveFrames,
        blockWords: aligned + UInt(RegionLayout.blockWordsOffset),
        hints: aligned + UInt(bitPattern: layout.hintsOffset),
        lines: aligned + UInt(bitPattern: layout.linesOffset),
        mapping: memory, mappingBytes: mapped, attachment: 0))
    let region = unsafe PageRegion(header)
    region.availableWord.storeRelaxed(UInt64(region.frameCount))
    if backing == .given { region.openAll() }
    // Written before it is looked at: see `HeapState.writeFirst`.
    if backing == .reserved { region.hintWord(tree: 0, tier: 0).storeRelaxed(0) }
    return .success(region)
  }

  /// Makes every block present. Relaxed throughout: the region is not shared yet.
  private func openAll() {
    for block in 0..<blocks {
      markMisfits(block)
      let free = usable(block).count
      blockWord(block).storeRelaxed(BlockWord(present: free).bits)
      raise(block, to: survey(block))
    }
    highWord.storeRelaxed(UInt64(blocks))
    growWord.storeRelaxed(UInt64(blocks))
  }

  /// Allocates for ever the frames of a block that are not usable. Only while no other thread can reach the block.
  func markMisfits(_ block: Int) {
    let usable = usable(block)
    if usable.count == Frames.perBlock { return }
    let first = block * Frames.perBlock
    for index in 0..<Frames.rowsPerBlock {
      rowWord(block * Frames.rowsPerBlock + index).storeRelaxed(
        ~Self.mask(usable, row: first + index * Frames.perRow))
    }
  }

  /// The frames of `range` that lie in the row whose first frame is `row`.
  @inline(__always)
  static func mask(_ range: Range<Int>, row: Int) -> UInt64 {
    let from = Swift.max(range.lowerBound, row)
    let to = Swift.min(range.upperBound, row + Frames.perRow)
    return from < to ? Row.mask(from: from - row, count: to - from) : 0
  }

  /// Ends the region and unmaps the metadata that it mapped. The range itself stays the caller's.
  ///
  /// > Safety: nobody uses the region or a copy of this handle any more.
  ///
  /// Externally synchronised.
  public func destroy() {
    let bytes = unsafe header.pointee.mappingBytes
    guard bytes > 0, let pages = unsafe UnsafeMutableRawPointer(bitPattern: header.pointee.mapping) else { return }
    // SAFETY: mapped by `create`, and by the caller's promise unused.
    unsafe ka_os_unmap(pages, bytes)
  }
}

private let pageBytes = Int(KA_OS_PAGE_BYTES)
