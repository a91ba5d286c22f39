// Who runs next, and what a load with several answers is given: the choices of an execution.
//
// A choice beyond those of the search's current prefix takes way 0: the thread that runs goes on, the newest value is
// read. Preemptions (another thread runs although this one could) and stale reads are paid from budgets; with none left
// there is nothing to choose.

import KAllocAtomics

/// Counts the operation that begins now. Returns the thread it belongs to.
@inline(__always)
func tick() -> Int {
  let m = machine
  if m.pointee.isReplaying && m.pointee.replayLeft == 0 { followReplay() }
  let thread = m.pointee.current
  m.pointee.threads[thread].clock[thread] &+= 1
  m.pointee.operations += 1
  if m.pointee.isReplaying { m.pointee.replayLeft -= 1 }
  if m.pointee.operations > Machine.maximumOperations { fail("no end: a thread goes round in circles") }
  return thread
}

/// Before an operation that others may notice: another thread may run first.
func yieldPoint() {
  let m = machine
  let thread = m.pointee.current
  if m.pointee.isReplaying {
    followReplay()
  } else if m.pointee.threads[thread].isFresh {
    // It was chosen to run; its first operation is not asked about again.
    m.pointee.threads[thread].isFresh = false
  } else {
    if m.pointee.depth >= m.pointee.prefix && isKnown() { leave(.pruned) }
    if m.pointee.preemptions > 0 {
      var others = 0
      for other in 0..<m.pointee.threadCount where other != thread && !m.pointee.threads[other].finished { others += 1 }
      if others > 0 {
        var way = choose(others + 1)
        if way > 0 {
          if m.pointee.preemptions != .max { m.pointee.preemptions -= 1 }
          for other in 0..<m.pointee.threadCount where other != thread && !m.pointee.threads[other].finished {
            way -= 1
            if way == 0 {
              run(other)
              break
            }
          }
        }
      }
    }
  }
}

/// The way to take, of several.
func choose(_ options: Int) -> Int {
  let m = machine
  let depth = m.pointee.depth
  m.pointee.depth += 1
  if depth < m.pointee.prefix {
    let choice = m.pointee.choices[depth]
    if Int(choice.options) != options { fail("the machine is not deterministic: other choices than before") }
    return Int(choice.chosen)
  }
  m.pointee.choices.append(Choice(chosen: 0, options: UInt16(options)))
  return 0
}

/// Which of several answers this operation gets, 0 the usual one. Recorded with the operation.
private func answer(_ options: Int) -> Int {
  let m = machine
  if options == 1 { return 0 }
  if m.pointee.isReplaying {
    if m.pointee.replayLeft > 0 || m.pointee.replayIndex == 0 { return 0 }
    let wanted =
      m.pointee.replayIndex <= m.pointee.replay.count ? m.pointee.replay[m.pointee.replayIndex - 1].choice : 0
    if wanted >= options { fail("the schedule does not fit: an operation has no such answer") }
    return wanted
  }
  let way = choose(options)
  if way > 0 { record(way) }
  return way
}

/// How old a message a load reads; 0: the newest.
func staleChoice(_ options: Int) -> Int {
  let m = machine
  if options == 1 || (m.pointee.staleReads == 0 && !m.pointee.isReplaying) { return 0 }
  let way = answer(options)
  if way > 0 && m.pointee.staleReads != .max { m.pointee.staleReads -= 1 }
  return way
}

/// An event outside the program: whether it happens. Paid as a preemption where `isPaid`.
func eventHappens(isPaid: Bool) -> Bool {
  let m = machine
  if isPaid && m.pointee.preemptions == 0 && !m.pointee.isReplaying { return false }
  let way = answer(2)
  if way > 0 && isPaid && m.pointee.preemptions != .max { m.pointee.preemptions -= 1 }
  return way > 0
}

private func record(_ choice: Int) {
  let m = machine
  let operations = m.pointee.operations - m.pointee.stepStart
  if operations == 0 && choice == 0 { return }
  m.pointee.steps.append(Step(thread: m.pointee.current, operations: operations, choice: choice))
  m.pointee.stepStart = m.pointee.operations
}

// MARK: Threads

/// Goes on with `thread`; returns when the thread that called is chosen again.
func run(_ thread: Int) {
  let m = machine
  let from = m.pointee.current
  if !m.pointee.isReplaying { record(0) }
  switchIn(thread)
  m.pointee.current = thread
  km_switch(&m.pointee.threads[from].stack, m.pointee.threads[thread].stack.unsafelyUnwrapped)
}

/// What a change of threads means for the CPUs that they run on: see Sections.swift.
func switchIn(_ thread: Int) {
  let m = machine
  let cpu = m.pointee.threads[thread].cpu
  for other in 0..<m.pointee.threadCount where other != thread && m.pointee.threads[other].cpu == cpu {
    m.pointee.threads[thread].clock.join(m.pointee.threads[other].clock)
    if m.pointee.threads[other].inSection { m.pointee.threads[other].isAborted = true }
  }
  m.pointee.threads[thread].clock.join(m.pointee.cpuClocks[cpu])
}

/// The current thread has ended.
func finish() -> Never {
  let m = machine
  let thread = m.pointee.current
  m.pointee.threads[thread].finished = true
  if m.pointee.isReplaying { finishReplay() }
  var others = 0
  for other in 0..<m.pointee.threadCount where !m.pointee.threads[other].finished { others += 1 }
  if others == 0 { leave(.completed) }
  if !m.pointee.isReplaying && m.pointee.depth >= m.pointee.prefix && isKnown() { leave(.pruned) }
  var way = others > 1 && !m.pointee.isReplaying ? choose(others) : 0
  for other in 0..<m.pointee.threadCount where !m.pointee.threads[other].finished {
    if way == 0 { run(other) }
    way -= 1
  }
  fatalError("a thread that has ended goes on")
}

/// Ends the execution and goes back to the explorer.
func leave(_ outcome: Outcome) -> Never {
  let m = machine
  m.pointee.outcome = outcome
  if !m.pointee.isReplaying && km_current_mode() == KM_RUNNING { record(0) }
  var nowhere: UnsafeMutableRawPointer? = nil
  km_set_mode(UInt32(KM_LOGGED))
  km_set_guarded(false)
  km_switch(&nowhere, m.pointee.explorerStack.unsafelyUnwrapped)
  fatalError("an execution that has ended goes on")
}

/// The execution shows a fault.
func fail(_ text: StaticString) -> Never {
  machine.pointee.failure = text
  machine.pointee.hasDetail = false
  if !km_is_guarded() { fatalError("while no thread runs: \(text)") }
  leave(.failed)
}

func fail(_ text: StaticString, _ detail: UInt64) -> Never {
  machine.pointee.failureDetail = detail
  machine.pointee.failure = text
  machine.pointee.hasDetail = true
  if !km_is_guarded() { fatalError("while no thread runs: \(text) \(String(detail, radix: 16))") }
  leave(.failed)
}

// MARK: States

/// Whether everything that can follow from here has been explored.
private func isKnown() -> Bool {
  let m = machine
  var hash = m.pointee.locationHash ^ m.pointee.plainHash
  for index in 0..<m.pointee.threadCount {
    let thread = m.pointee.threads + index
    var own = mix(mix(mix(UInt64(index), thread.pointee.history), thread.pointee.clock), thread.pointee.ordered)
    let flags: UInt64 = (thread.pointee.finished ? 1 : 0) | (thread.pointee.inSection ? 2 : 0)
    own = mix(own, flags | (thread.pointee.isAborted ? 4 : 0) | UInt64(thread.pointee.cpu) << 3)
    if m.pointee.usesFences { own = mix(mix(own, thread.pointee.unacquired), thread.pointee.released) }
    hash = mix(hash, own)
    hash = mix(hash, m.pointee.cpuClocks[index])
  }
  for index in 0..<m.pointee.blocks.count {
    let block = m.pointee.blocks[index]
    hash ^= mix(mix(UInt64(block.low), UInt64(block.high)), UInt64(block.thread))
  }
  if m.pointee.usesFences { hash = mix(hash, m.pointee.fenceClock) }
  // Where preemptions are counted it matters which thread may go on for nothing.
  if m.pointee.preemptions != .max { hash = mix(hash, UInt64(m.pointee.current)) }
  return m.pointee.visited.covers(
    hash, preemptions: m.pointee.preemptions, staleReads: m.pointee.staleReads)
}
