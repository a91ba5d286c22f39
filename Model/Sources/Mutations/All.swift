/// Every mutation. The numbers are names: they stay when others go.
public let allMutations: [Mutation] = pageMutations + slabMutations + cacheMutations + memoryMutations

let pageMutations = [
  Mutation(
    1, "a row is cleared without release: (A)", "Pages/PageRegion+Take.swift", ["pages-allocate-ahead"],
    (
      "let before = word.fetchAndSequentiallyConsistent(~mask)",
      "let before = mutant(1) ? word.fetchAndRelaxed(~mask) : word.fetchAndSequentiallyConsistent(~mask)"
    )),
  Mutation(
    2, "a row is taken without acquire: (A)", "Pages/Transitions.swift", ["pages-allocate-ahead"],
    (
      "(_ transition: (Row) -> Row?) -> Row? {\n    var found = loadRelaxed()\n"
        + "    while let next = transition(Row(bits: found)) {\n"
        + "      let seen = compareExchangeAcquire(found, next.bits)",
      "(_ transition: (Row) -> Row?) -> Row? {\n    var found = loadRelaxed()\n"
        + "    while let next = transition(Row(bits: found)) {\n      let seen =\n        mutant(2)\n"
        + "        ? compareExchangeRelaxed(found, next.bits) : compareExchangeAcquire(found, next.bits)"
    )),
  Mutation(
    3, "a grown block is published without release: (B)", "Pages/PageRegion+Grow.swift", ["pages-grow-last"],
    (
      "    blockWord(block).storeRelease(BlockWord(present: free).bits)",
      "    if mutant(3) { blockWord(block).storeRelaxed(BlockWord(present: free).bits) } else "
        + "{ blockWord(block).storeRelease(BlockWord(present: free).bits) }"
    )),
  Mutation(
    4, "a search lowers a hint and does not look again: (C)", "Pages/PageRegion+Hints.swift", ["pages-hints"],
    ("if cleared { raise(", "if cleared && !mutant(4) { raise(")),
  Mutation(
    5, "a hint is cleared without sequential consistency: (C)", "Pages/PageRegion+Hints.swift", ["pages-hints"],
    (
      "_ = hint.fetchAndSequentiallyConsistent(~bit)",
      "_ = mutant(5) ? hint.fetchAndAcquireRelease(~bit) : hint.fetchAndSequentiallyConsistent(~bit)"
    )),
  Mutation(
    6, "frames are added without sequential consistency: (C)", "Pages/PageRegion+Take.swift", ["pages-hints"],
    (
      "let before = blockWord(block).fetchAddSequentiallyConsistent(UInt32(frames))",
      "let before = mutant(6) ? blockWord(block).fetchAddAcquireRelease(UInt32(frames)) : "
        + "blockWord(block).fetchAddSequentiallyConsistent(UInt32(frames))"
    )),
  Mutation(
    7, "the survey cuts the tier down to the number in the block word (found by this checker, once shipped)",
    "Pages/PageRegion+Hints.swift", ["pages-hints-orders"],
    (
      "    return tier\n",
      "    if mutant(7) { while tier >= 0 && 1 << tier > word.free { tier -= 1 } }\n    return tier\n"
    )),
  Mutation(
    8, "a run that lost its last row forgets the reservation", "Pages/PageRegion+Take.swift", ["pages-runs"],
    (
      "returnFrames(block, end - at - missing, order: -1)",
      "if !mutant(8) { returnFrames(block, end - at - missing, order: -1) }"
    )),
  Mutation(
    9, "a block is grown that another thread is growing", "Pages/BlockWord.swift", ["pages-grow-last"],
    ("{ isAbsent ? .growing : nil }", "{ isAbsent || mutant(9) && self == .growing ? .growing : nil }")),
  Mutation(
    10, "a purge of a whole block does not take it first", "Pages/PageRegion+Purge.swift", ["pages-purge-whole"],
    (
      "usable.count, takeExact(usable, growing: false) == .taken else",
      "usable.count, mutant(10) || takeExact(usable, growing: false) == .taken else"
    )),
  Mutation(
    11, "a purge looks at the rows before it clears the hint: (D)", "Pages/PageRegion+Purge.swift",
    ["pages-purge-free"],
    (
      "    unhintDirty(block)\n    var wanted",
      "    if !mutant(11) { unhintDirty(block) }\n    var wanted"
    ),
    (
      "    if released < found { hintDirty(block) }",
      "    if mutant(11) { unhintDirty(block) }\n    if released < found { hintDirty(block) }"
    )),
  Mutation(
    12, "a free looks at the hint without sequential consistency: (D)", "Pages/PageRegion+Take.swift",
    ["pages-purge-free"],
    (
      "if hint.loadSequentiallyConsistent() & bit == 0 {  // (D)",
      "if (mutant(12) ? hint.loadRelaxed() : hint.loadSequentiallyConsistent()) & bit == 0 {  // (D)"
    )),
  Mutation(
    13, "a region is published without release: (E)", "Pages/NodePages.swift", ["pages-add-region"],
    (
      "link.compareExchangeAcquireRelease(0, address)",
      "(mutant(13) ? link.compareExchangeAcquire(0, address) : link.compareExchangeAcquireRelease(0, address))"
    )),
  Mutation(
    14, "the watermark is charged without looking again", "Pages/PageRegion+Reserve.swift", ["pages-reserve"],
    (
      "let seen = word.compareExchangeRelaxed(found, found - UInt64(charged))",
      "if mutant(14) { _ = word.fetchSubtractRelaxed(UInt64(charged)); return charged }\n"
        + "      let seen = word.compareExchangeRelaxed(found, found - UInt64(charged))"
    )),
]

let slabMutations = [
  Mutation(
    20, "a slab is published without release: (A)", "Slabs/SlabTable+Take.swift", ["slabs-create-found"],
    (
      "    words[head.rawValue].storeSequentiallyConsistent(SlabWord(sizeClass, free: geometry.objects &- count).bits)",
      "    let made = SlabWord(sizeClass, free: geometry.objects &- count).bits\n"
        + "    if mutant(20) { words[head.rawValue].storeRelaxed(made) } else "
        + "{ words[head.rawValue].storeSequentiallyConsistent(made) }"
    )),
  Mutation(
    21, "objects are returned without release: (B)", "Slabs/SlabTable+Give.swift", ["slabs-take-give"],
    (
      "let before = bits[firstWord(of: head) &+ index].fetchOrRelease(mask)",
      "let word = bits[firstWord(of: head) &+ index]\n    let before = mutant(21) ? word.fetchOrRelaxed(mask) : word.fetchOrRelease(mask)"
    )),
  Mutation(
    22, "objects are taken without acquire: (B)", "Slabs/SlabTable+Take.swift", ["slabs-take-give"],
    (
      "let got = word.fetchAndAcquire(~wanted) & wanted",
      "let got = (mutant(22) ? word.fetchAndRelaxed(~wanted) : word.fetchAndAcquire(~wanted)) & wanted"
    )),
  Mutation(
    23, "a return raises the number without release: (C)", "Slabs/SlabTable+Give.swift", ["slabs-end-reuse"]),
  Mutation(
    24, "a refill clears a slab's hint and does not look again: (H)", "Slabs/SlabTable+Hints.swift",
    ["slabs-take-give"],
    ("if let found = word.sizeClass, word.free > 0 {", "if let found = word.sizeClass, word.free > 0, !mutant(24) {")),
  Mutation(
    25, "a return raises the number without sequential consistency: (H)", "Slabs/SlabTable+Give.swift",
    ["slabs-take-give"],
    (
      "bits: words[head.rawValue].fetchAddSequentiallyConsistent(UInt64(truncatingIfNeeded: count)))",
      "bits: mutant(23) ? words[head.rawValue].fetchAddAcquire(UInt64(count)) : mutant(25) ? words[head.rawValue].fetchAddAcquireRelease(UInt64(count)) : "
        + "words[head.rawValue].fetchAddSequentiallyConsistent(UInt64(truncatingIfNeeded: count)))"
    )),
  Mutation(
    26, "a slab ends although an object is out", "Slabs/SlabWord.swift", ["slabs-end-spare", "slabs-end-refill"],
    (
      "guard isSlab(of: sizeClass), free == objects else",
      "guard isSlab(of: sizeClass), free >= (mutant(26) ? objects - 1 : objects) else"
    )),
  Mutation(
    27, "a return raises the number before it sets the bits", "Slabs/SlabTable+Give.swift", ["slabs-take-give"],
    (
      "    setFree(mask, word: index, of: head, geometry)\n    let free =",
      "    if !mutant(27) { setFree(mask, word: index, of: head, geometry) }\n"
        + "    if mutant(66) && geometry.isPurged(free: SlabWord(bits: words[head.rawValue].loadRelaxed()).free &+ 1) "
        + "{ hintPurge(head) }\n    let free ="
    ),
    (
      "    if geometry.isPurged(free: free) { hintPurge(head) }",
      "    if mutant(27) { setFree(mask, word: index, of: head, geometry) }\n"
        + "    if geometry.isPurged(free: free) && !mutant(66) { hintPurge(head) }"
    )),
  Mutation(
    29, "a refill looks for slabs by the owner byte (found by this checker, once shipped)",
    "Slabs/SlabTable+Hints.swift", ["slabs-create-found"],
    (
      "let word = SlabWord(bits: words[frame].loadSequentiallyConsistent())\n        if word",
      "let matches = mutant(29) && owners[frame].loadRelaxed() == UInt8(sizeClass.index + 1)\n        let word =\n"
        + "          mutant(29) ? matches ? SlabWord(sizeClass, free: 1) : SlabWord.none\n"
        + "          : SlabWord(bits: words[frame].loadSequentiallyConsistent())\n        if word"
    )),
  Mutation(
    28, "a slab is promised without looking again", "Slabs/SlabTable+Take.swift", ["slabs-take-take"],
    (
      "let seen = word.compareExchangeSequentiallyConsistent(found, next.bits)",
      "let seen = mutant(28) ? { word.storeSequentiallyConsistent(next.bits); return found }() : "
        + "word.compareExchangeSequentiallyConsistent(found, next.bits)"
    )),
]

let cacheMutations = [
  Mutation(
    30, "a magazine is put without release: (M)", "Caches/Depot.swift", ["depot-take-put"],
    (
      "    _ = word.fetchOrRelease(1 &<< UInt64(truncatingIfNeeded: magazine.slot))",
      "    let bit = 1 &<< UInt64(truncatingIfNeeded: magazine.slot)\n"
        + "    _ = mutant(30) ? word.fetchOrRelaxed(bit) : word.fetchOrRelease(bit)"
    )),
  Mutation(
    31, "a magazine is taken without acquire: (M)", "Caches/Depot.swift", ["depot-take-put"],
    (
      "let before = word.fetchAndAcquire(~FullSlots.withMark(bit))",
      "let both = mutant(37) ? bit : FullSlots.withMark(bit)\n"
        + "      let before = mutant(31) ? word.fetchAndRelaxed(~both) : word.fetchAndAcquire(~both)"
    )),
  Mutation(
    32, "a magazine is taken whoever cleared its bit", "Caches/Depot.swift", ["depot-take-take"],
    ("if before & bit != 0 { return", "if before & bit != 0 || mutant(32) { return")),
  Mutation(
    35, "a magazine that rests is taken without acquire: (M)", "Caches/Depot.swift", ["depot-rest"],
    (
      "let seen = full.compareExchangeAcquire(found, next.bits)",
      "let seen =\n        mutant(35) ? full.compareExchangeRelaxed(found, next.bits)\n"
        + "        : mutant(36) ? { full.storeRelaxed(next.bits); return found }()\n"
        + "        : full.compareExchangeAcquire(found, next.bits)"
    )),
  Mutation(36, "a magazine that rests is taken without looking again", "Caches/Depot.swift", ["depot-rest-take"]),
  Mutation(37, "who takes a magazine leaves its mark", "Caches/Depot.swift", ["depot-rest-take"]),
  Mutation(
    33, "a magazine is put before its pointers are read", "Caches/HeapState+Refill.swift",
    ["heap-flush-refill", "heap-refill-refill"],
    (
      "    let count = magazine.count &- 1\n",
      "    if mutant(33) { depot.put(magazine) }\n    let count = magazine.count &- 1\n"
    ),
    (
      "    magazine.count = count &- moved\n    depot.put(magazine)\n",
      "    magazine.count = count &- moved\n    if !mutant(33) { depot.put(magazine) }\n"
    )),
  Mutation(
    34, "a further magazine is put before its pointers are read", "Caches/HeapState+Refill.swift",
    ["heap-refill-partial"],
    (
      "      let left = magazine.count &- wanted\n",
      "      let left = magazine.count &- wanted\n      if mutant(34) { depot.put(magazine) }\n"
    ),
    (
      "      magazine.count = left &+ wanted &- got\n      depot.put(magazine)\n",
      "      magazine.count = left &+ wanted &- got\n      if !mutant(34) { depot.put(magazine) }\n"
    )),
  Mutation(
    47, "a free without a size looks at the top of a stack whose gate is closed (once shipped)",
    "Caches/LocalCache.swift", ["heap-drain-unsized"],
    (
      "    let top = region.array(info) &+ UInt64(truncatingIfNeeded: count &* 8)\n",
      "    let top = region.array(info) &+ UInt64(truncatingIfNeeded: count &* 8)\n    if mutant(47) { return true }\n"
        + "    if mutant(48) { return region.gate.loadAcquire() == CPURegion.open }\n"
    )),
  Mutation(
    48, "a free without a size looks at the stack of a CPU that it may have left (once shipped)",
    "Caches/LocalCache.swift", ["heap-migration-unsized"]),
  Mutation(
    40, "a drain without the barrier behind the gate", "Caches/Drain.swift", ["heap-drain-open", "heap-drain-pop"],
    (
      "if ka_barrier_sections(-1) != KA_BARRIER_DONE { return true }",
      "if !mutant(40) && ka_barrier_sections(-1) != KA_BARRIER_DONE { return true }"
    )),
  Mutation(
    41, "a drain without the barrier behind the limits", "Caches/Drain.swift", ["heap-drain-pop"],
    (
      "    if ka_barrier_sections(-1) != KA_BARRIER_DONE { return false }\n"
        + "    for index in 0..<used where holds(index, drain) { take(index) }",
      "    if !mutant(41) && ka_barrier_sections(-1) != KA_BARRIER_DONE && !mutant(54) { return false }\n"
        + "    for index in 0..<used where holds(index, drain) { take(index) }"
    )),
  Mutation(
    42, "a drain without the barrier before the stacks are closed", "Caches/Drain.swift",
    ["heap-drain-pop", "heap-drain-push"],
    (
      "    if ka_barrier_sections(-1) != KA_BARRIER_DONE { return false }\n"
        + "    for index in 0..<used where holds(index, drain) { close(index) }",
      "    if !mutant(42) && ka_barrier_sections(-1) != KA_BARRIER_DONE && !mutant(55) { return false }\n"
        + "    for index in 0..<used where holds(index, drain) { close(index) }"
    )),
  Mutation(54, "a drain goes on when its second barrier is refused", "Caches/Drain.swift", ["heap-drain-refused-2"]),
  Mutation(55, "a drain goes on when its third barrier is refused", "Caches/Drain.swift", ["heap-drain-refused-3"]),
  Mutation(
    43, "thread mode: a drain without a barrier: (T)", "Caches/Drain.swift", ["heap-thread-drain"],
    (
      "let everyoneSeesTheGate = ka_barrier_threads() == KA_BARRIER_DONE",
      "let everyoneSeesTheGate = mutant(43) || ka_barrier_threads() == KA_BARRIER_DONE"
    )),
  Mutation(
    44, "a stack opens without looking at the step before (once shipped)", "Caches/LocalCache.swift",
    ["heap-drain-open", "heap-open"],
    (
      "replace(index, room, 0, limit, where: top, holds: array)",
      "if mutant(44) { replace(index, room, 0, limit, where: room, holds: 0) } else "
        + "{ replace(index, room, 0, limit, where: top, holds: array) }"
    )),
  Mutation(
    45, "thread mode: busy is cleared without release: (T)", "Caches/LocalCache.swift", ["heap-thread-drain"],
    ("    busy.storeRelease(0)\n", "    if mutant(45) { busy.storeRelaxed(0) } else { busy.storeRelease(0) }\n")),
  Mutation(
    46, "two drains hold one region", "Caches/Drain.swift", ["heap-drain-drain", "heap-thread-drain-drain"],
    (
      "private func holds(_ index: Int, _ drain: UInt64) -> Bool { region(index).gate.loadRelaxed() == drain }",
      "private func holds(_ index: Int, _ drain: UInt64) -> Bool {\n"
        + "    mutant(46) ? region(index).gate.loadRelaxed() != 0 : region(index).gate.loadRelaxed() == drain\n  }"
    )),
  Mutation(
    63, "a refill does not say that its frames may have memory behind them", "Slabs/SlabTable+Take.swift",
    ["slabs-purge-take", "slabs-purge-purge"],
    (
      "        touch(head, geometry)\n        // The slab",
      "        if !mutant(63) { touch(head, geometry) }\n        // The slab"
    )),
  Mutation(
    64, "a purge takes a frame for free without its first object", "Slabs/SlabTable+Purge.swift", ["slabs-purge-take"],
    ("if slab.has(first..<max(end, first))", "if slab.has((mutant(64) ? first &+ 1 : first)..<max(end, first &+ 1))")),
  Mutation(
    65, "a purge returns the objects before the system call", "Slabs/SlabTable+Purge.swift",
    ["slabs-purge-take", "slabs-purge-purge"],
    (
      "    let done = purge(&batch)\n",
      "    if mutant(65) { for index in 0..<batch.count { giveBack(batch.slabs[index], purged: true, ended) } }\n"
        + "    let done = purge(&batch)\n    if mutant(65) { return batch.count = 0 }\n"
    )),
  Mutation(
    69, "a magazine goes back to the depot of the node that the thread is on now (once shipped)",
    "Heap/HeapState+Trim.swift", ["heap-empty-own"],
    (
      "    depot(info, on: node).put(magazine)\n",
      "    depot(info, on: mutant(69) ? localNode : node).put(magazine)\n"
    )),
  Mutation(
    66, "a return looks at the hint for purges before it raises the number: (P)", "Slabs/SlabTable+Give.swift",
    ["slabs-purge-half"]),
  Mutation(
    67, "a purge looks at the slabs before it clears their hint: (P)", "Slabs/SlabTable+Purge.swift",
    ["slabs-purge-half"],
    (
      "        pages.unhintDirty(block, Tier.slabs)\n        isLate = !purge(block, &batch, within: &time, ended)\n",
      "        if !mutant(67) { pages.unhintDirty(block, Tier.slabs) }\n"
        + "        isLate = !purge(block, &batch, within: &time, ended)\n"
        + "        if mutant(67) { pages.unhintDirty(block, Tier.slabs) }\n"
    )),
  Mutation(
    68, "a purge forgets the objects that came back while it had the others", "Slabs/SlabTable+Purge.swift",
    ["slabs-purge-others"],
    (
      "    if others > 0 || !purged { hintPurge(slab.head) }",
      "    if others > 0 && !mutant(68) || !purged { hintPurge(slab.head) }"
    )),
  Mutation(
    50, "the limit is looked at and then added to", "Heap/HeapState+Commit.swift", ["heap-limit"],
    (
      "let seen = word.compareExchangeRelaxed(found, found &+ amount)",
      "let seen = mutant(50) ? { _ = word.fetchAddRelaxed(amount); return found }() : "
        + "word.compareExchangeRelaxed(found, found &+ amount)"
    )),
  Mutation(
    51, "a direct mapping is published without release: (D)", "Heap/DirectMappings.swift", ["direct-publish-find"],
    (
      "    address(slot).storeRelease(block)",
      "    if mutant(51) { return address(slot).storeRelaxed(block) }\n    address(slot).storeRelease(block)"
    )),
  Mutation(
    53, "a direct mapping's size is written without release: (D)", "Heap/DirectMappings.swift",
    ["direct-reuse-contains"],
    (
      "    size(slot).storeRelease(word)",
      "    if mutant(53) { size(slot).storeRelaxed(word) } else { size(slot).storeRelease(word) }"
    )),
  Mutation(
    52, "a direct mapping is taken without looking again", "Heap/DirectMappings.swift", ["direct-take-take"],
    (
      "&& address(slot).compareExchangeAcquire(block, DirectMappings.claimed) == block",
      "&& (mutant(52) || address(slot).compareExchangeAcquire(block, DirectMappings.claimed) == block)"
    )),
]

public let memoryMutations = [
  Mutation(
    60, "a flush notes an address behind the end of its table", "Caches/Duplicates.swift", [],
    (
      "    unsafe displaced[unchecked: displacedCount] = ",
      "    unsafe displaced[unchecked: displacedCount &+ (mutant(60) ? 256 : 0)] = "
    ))
]
