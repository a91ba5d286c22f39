// Refill: objects leave a slab. The protocol is in SlabTable.swift.

extension SlabTable {
  /// Takes up to `limit` free objects of `sizeClass` from the slabs that have some, lowest addresses first, and writes
  /// their addresses to `target`. Returns how many; 0: no slab of the region has any.
  ///
  /// Two locked instructions for each slab, and one for each further 64 objects of it.
  ///
  /// > Safety: `target` has room for `limit` addresses and is the caller's alone.
  @unsafe
  func take(_ sizeClass: SizeClass, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>) -> Int {
    let geometry = geometry(sizeClass)
    var count = 0
    var start = FrameIndex(0)
    while count < limit, let head = candidate(sizeClass, from: start) {
      unsafe count &+= take(from: head, geometry, upTo: limit &- count, into: target + count)
      // A slab that was raced for and has objects again is found by the next call.
      start = head.advanced(by: geometry.frames)
    }
    return count
  }

  private func take(
    from head: FrameIndex, _ geometry: SlabGeometry, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>
  ) -> Int {
    let word = words[head.rawValue]
    // (A) acquire, so that the bits and owner bytes that `create` wrote are seen.
    // (H) sequentially consistent, because a count of 0 is followed by `unhint`.
    var found = word.loadAcquire()
    while true {
      let count = min(SlabWord(bits: found).free, limit)
      guard let next = SlabWord(bits: found).reserving(count, of: geometry.sizeClass) else {
        if count == 0 { unhint(head, geometry.sizeClass) }
        return 0
      }
      let seen = word.compareExchangeSequentiallyConsistent(found, next.bits)  // (A) (H) (P)
      if seen == found {
        if next.free == 0 { unhint(head, geometry.sizeClass) }
        unsafe collect(count, from: head, geometry, into: target)
        touch(head, geometry)
        // The slab that was kept: it has memory behind it, and a purge leaves one that is wholly free alone.
        if SlabWord(bits: found).free == geometry.objects && geometry.isPurged(free: next.free) { hintPurge(head) }
        return count
      }
      found = seen
    }
  }

  /// Writes the addresses of `count` objects that are promised to the caller.
  @unsafe
  private func collect(
    _ count: Int, from head: FrameIndex, _ geometry: SlabGeometry, into target: UnsafeMutablePointer<UInt64>
  ) {
    let base = pages.addressBits(of: head)
    var place = 0
    takeBits(count, of: head, geometry) { index, bits in
      var rest = bits
      while rest != 0 {
        let object = index &<< 6 | rest.trailingZeroBitCount
        rest &= rest &- 1
        unsafe target[place] = base &+ UInt64(truncatingIfNeeded: object &* geometry.objectBytes)
        place &+= 1
      }
    }
  }

  /// Takes `count` bits that are promised to the caller, and calls `body` with those of each word, lowest first.
  ///
  /// Ends: bits ≥ count + promises, so while the promise is open some bit is set; a pass that finds too few has been
  /// overtaken by other takers, who have advanced.
  @inline(__always)
  func takeBits(_ count: Int, of head: FrameIndex, _ geometry: SlabGeometry, _ body: (Int, UInt64) -> Void) {
    let first = firstWord(of: head)
    var left = count
    while true {
      for index in 0..<geometry.words {
        let word = bits[first &+ index]
        // Relaxed: only a guess at which bits to ask for; the fetch-and says which were got.
        var wanted = word.loadRelaxed()
        if wanted == 0 { continue }
        while wanted.nonzeroBitCount > left { wanted &= ~(1 &<< UInt64(63 &- wanted.leadingZeroBitCount)) }
        // (B) acquire, so that the former owner's last use is before the new owner's first.
        let got = word.fetchAndAcquire(~wanted) & wanted
        left &-= got.nonzeroBitCount
        body(index, got)
        if left == 0 { return }
      }
    }
  }

  /// Cuts a run of frames that the caller owns into a slab, and gives the caller its first `limit` objects.
  ///
  /// > Safety: the run has `geometry.frames`, naturally aligned; `target` has room for `limit` addresses.
  @unsafe
  func create(
    _ sizeClass: SizeClass, at head: FrameIndex, upTo limit: Int, into target: UnsafeMutablePointer<UInt64>
  ) -> Int {
    let geometry = geometry(sizeClass)
    let base = pages.addressBits(of: head)
    let count = min(limit, geometry.objects)
    let first = firstWord(of: head)
    // Relaxed: the release of the word below publishes bits and owner bytes.
    for index in 0..<geometry.words {
      let taken = min(max(count &- index &* 64, 0), 64)
      bits[first &+ index].storeRelaxed(geometry.freshWord(index) & ~Row.mask(taken))
    }
    if geometry.hasLabels {
      for index in 0..<geometry.words {
        bits[firstLabel(of: head, frames: geometry.frames) &+ index].storeRelaxed(0)
      }
    }
    for frame in head.rawValue..<head.rawValue &+ geometry.frames {
      owners[frame].storeRelaxed(UInt8(truncatingIfNeeded: sizeClass.index &+ 1))
    }
    touch(head, geometry)
    for object in 0..<count {
      unsafe target[object] = base &+ UInt64(truncatingIfNeeded: object &* geometry.objectBytes)
    }
    // (A) release; (H) (P) sequentially consistent before the hints.
    words[head.rawValue].storeSequentiallyConsistent(SlabWord(sizeClass, free: geometry.objects &- count).bits)
    if count < geometry.objects { hint(head, sizeClass) }
    if geometry.isPurged(free: geometry.objects &- count) { hintPurge(head) }
    return count
  }
}
