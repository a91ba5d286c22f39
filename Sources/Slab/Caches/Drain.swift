// Drain: another thread takes everything out of a CPU's region, while the threads of that CPU go on.
//
//     open ──gate──▶ stopped ──barrier──▶ ──intercept──▶ ──barrier──▶ taken ──empty──▶ ──barrier──▶ close ──▶ open
//
//  1. gate: compare-exchange 0 → a number of this drain's own. Who loses leaves this CPU to the winner: nobody waits.
//  2. barrier: every section of that CPU that read the gate as open has ended or is aborted, so no `open` or `grow` is
//     under way any more, and none begins.
//  3. intercept: begin = max, end = room = 0 in every stack.
//  4. barrier: every section that passed the old limits has ended or is aborted. The region is this thread's alone;
//     threads of that CPU find the limits, then the gate, and take the shared path.
//  5. taken: the pointers go back to slabs and rows.
//  6. empty: top = 0. Barrier: no section that read the old top is left to meet the limits of step 7.
//  7. close: begin = 0; all four words are 0, a stack never used. Then gate = 0, release: (D).
//
// The barrier is membarrier(PRIVATE_EXPEDITED_RSEQ); a trim drains all CPUs with three of them. A thread that is killed
// in between, and a barrier that the kernel refuses there, leave those CPUs on the shared path, and what they had cached is
// lost; nobody is blocked.
//
// In `thread` mode sections are plain steps under the region's `busy` word. The gate and one full barrier on all threads
// make either the owner see the gate or the drainer see `busy` ((T), Dekker); where busy, the drainer opens the gate again
// and leaves the region alone. What the thread does in other heaps does not matter: they have words of their own. Without the system call it drains its own region and those that no thread owns.

import KAllocAtomics

extension HeapState {
  /// Returns the pointers in every CPU's stacks to slabs and rows. Concurrent; CPUs that somebody else drains, and
  /// threads that are inside an operation on this heap's stacks, are left out.
  func drainAll() {
    if mode == .shared { return }
    let drain = control(.drains).fetchAddRelaxed(1) &+ 1
    let used = regionsUsed
    for index in 0..<used { stop(index, drain) }
    finish(used, drain)
  }

  /// Whether anything stands on any CPU's stacks, as far as can be seen: what this thread knows to be there is.
  var holdsPointers: Bool {
    for index in 0..<regionsUsed {
      for stack in 0..<StackIndex.count {
        let info = info(StackIndex(rawValue: stack))
        if region(index).fill(info) > 0 { return true }
        guard info.stack.hasDepot, let away = outgoingRegion(index) else { continue }
        for node in 0..<nodeCount where outgoingFill(away, info.stack, NodeIndex(node)) > 0 { return true }
      }
    }
    return false
  }

  /// The same for those regions in which nothing has moved for `milliseconds`; 0: since the last look. Then the magazines of depots
  /// that nobody has taken for as long, `magazines` at most. O(regions looked at + depots + what is returned).
  ///
  /// - Returns: whether nothing has moved in any of them. Where there are more than `idleLooks`, a call looks at so many, and
  ///   the next one that comes a second later at others.
  func drainIdle(for milliseconds: UInt64, now: UInt64, magazines: Int = .max) -> Bool {
    if mode == .shared { return true }
    let used = regionsUsed
    if used == 0 { return true }
    spillRested(for: milliseconds, now: now, upTo: magazines)
    let drain = control(.drains).fetchAddRelaxed(1) &+ 1
    let looks = min(used, HeapState.idleLooks)
    let first = used == looks ? 0 : Int(truncatingIfNeeded: now / 1000) &* looks % used
    var stopped = false
    var still = true
    for look in 0..<looks {
      let index = (first &+ look) % used
      var (isStill, isEmpty) = region(index).look(stacks: StackIndex.count, for: milliseconds, now: now)
      if let away = outgoingRegion(index)?.look(stacks: outgoing.stacks, for: milliseconds, now: now) {
        isStill = isStill && away.isStill
        isEmpty = isEmpty && away.isEmpty
      }
      if !isStill { still = false }
      if !isStill || isEmpty { continue }
      stop(index, drain)
      stopped = true
    }
    if stopped { finish(used, drain) }
    return still
  }

  /// Returns what rests in magazines to slabs and rows. A look that comes sooner than `milliseconds` after the last one, whoever's, is
  /// none: it would shorten the time.
  private func spillRested(for milliseconds: UInt64, now: UInt64, upTo limit: Int) {
    if !moveOn(.rested, to: now, after: milliseconds) { return }
    var left = limit
    for node in 0..<nodeCount {
      for stack in 0..<StackIndex.withDepot {
        let info = info(StackIndex(rawValue: stack))
        let depot = depot(info, on: NodeIndex(node))
        // As many as there can be: others may look as fast.
        for _ in 0..<min(StackInfo.depotSlots, left) {
          guard let magazine = depot.takeRested() else { break }
          _ = unsafe giveBack(info, magazine.pointers, count: magazine.count)
          magazine.count = 0
          depot.put(magazine)
          left &-= 1
        }
        depot.rest()
      }
    }
  }

  /// How many regions a call looks at: 5376 words.
  private static var idleLooks: Int { 64 }

  /// Empties the regions that `drain` has stopped, and opens them.
  private func finish(_ used: Int, _ drain: UInt64) {
    if mode == .rseq {
      if !drainCPUs(used, drain) { return }
    } else {
      drainThreads(used, drain)
    }
    for index in 0..<used where holds(index, drain) { release(index) }
  }

  /// Whether the regions may be opened again. The kernel may refuse a barrier for want of memory: the first one's refusal leaves
  /// them as they were, after that of a later one a section may still be inside, and they stay stopped.
  private func drainCPUs(_ used: Int, _ drain: UInt64) -> Bool {
    if ka_barrier_sections(-1) != KA_BARRIER_DONE { return true }
    for index in 0..<used where holds(index, drain) { intercept(index) }
    if ka_barrier_sections(-1) != KA_BARRIER_DONE { return false }
    for index in 0..<used where holds(index, drain) { take(index) }
    if ka_barrier_sections(-1) != KA_BARRIER_DONE { return false }
    for index in 0..<used where holds(index, drain) { close(index) }
    return true
  }

  private func drainThreads(_ used: Int, _ drain: UInt64) {
    let everyoneSeesTheGate = ka_barrier_threads() == KA_BARRIER_DONE
    let own = ka_thread_slot()
    for index in 0..<used where holds(index, drain) {
      let slot = Int32(truncatingIfNeeded: index)
      let claimed = !everyoneSeesTheGate && slot != own && ka_thread_slot_claim(slot)
      if isIdle(index) && (everyoneSeesTheGate || slot == own || claimed) {
        intercept(index)
        take(index)
        close(index)
      }
      if claimed { ka_thread_slot_release(slot) }
    }
  }

  /// Whether the owner is in none of its two regions; it enters neither while their gates are closed.
  private func isIdle(_ index: Int) -> Bool {
    // (T) acquire; 0 is the state that the owner's last operation left.
    if region(index).busy.loadAcquire() != 0 { return false }
    guard let outgoingRegion = outgoingRegion(index) else { return true }
    return outgoingRegion.busy.loadAcquire() == 0  // (T)
  }

  // MARK: The steps, for one region and the outgoing one beside it

  private func stop(_ index: Int, _ drain: UInt64) {
    // (D) acquire: what the drain before left. (T) before the barrier.
    if region(index).gate.compareExchangeSequentiallyConsistent(CPURegion.open, drain) == CPURegion.open {
      outgoingRegion(index)?.gate.storeSequentiallyConsistent(drain)
    }
  }

  private func holds(_ index: Int, _ drain: UInt64) -> Bool { region(index).gate.loadRelaxed() == drain }

  private func intercept(_ index: Int) {
    region(index).intercept(stacks: StackIndex.count)
    outgoingRegion(index)?.intercept(stacks: outgoing.stacks)
  }

  private func take(_ index: Int) {
    for stack in 0..<StackIndex.count {
      let info = info(StackIndex(rawValue: stack))
      take(region(index), CPURegion.offset(info.stack), info.arrayOffset, info)
      if info.stack.hasDepot, let outgoingRegion = outgoingRegion(index) {
        for node in 0..<nodeCount {
          let home = NodeIndex(node)
          take(outgoingRegion, outgoing.offset(info.stack, home), outgoing.arrayOffset(info.stack, home), info)
        }
      }
    }
    region(index).empty(stacks: StackIndex.count)
    outgoingRegion(index)?.empty(stacks: outgoing.stacks)
  }

  private func take(_ region: CPURegion, _ stack: Int, _ arrayOffset: Int, _ info: StackInfo) {
    unsafe ka_stack_stopped(region.base + stack)
    let array = unsafe region.base + arrayOffset
    let top = region.top(at: stack).loadRelaxed()
    let count = Int(truncatingIfNeeded: top) &- Int(bitPattern: array)
    if top == 0 || count <= 0 { return }
    _ = unsafe giveBack(info, array.assumingMemoryBound(to: UInt64.self), count: count / 8)
  }

  private func close(_ index: Int) {
    region(index).close(stacks: StackIndex.count)
    outgoingRegion(index)?.close(stacks: outgoing.stacks)
  }

  private func release(_ index: Int) {
    // (D) release: the region as this drain leaves it.
    outgoingRegion(index)?.gate.storeRelease(CPURegion.open)
    region(index).gate.storeRelease(CPURegion.open)
  }
}

extension HeapState {
  /// Makes drains and statistics look at region `index`. Before a stack of it opens.
  func regionIsUsed(_ index: Int) {
    let word = control(.regionsUsed)
    var found = word.loadRelaxed()
    while found <= UInt64(truncatingIfNeeded: index) {
      // Relaxed: a drain that misses the region is one that came before it was opened.
      let seen = word.compareExchangeRelaxed(found, UInt64(truncatingIfNeeded: index) &+ 1)
      if seen == found { return }
      found = seen
    }
  }

  /// The regions that were ever opened are 0 ..< this.
  var regionsUsed: Int { Int(truncatingIfNeeded: control(.regionsUsed).loadRelaxed()) }
}
