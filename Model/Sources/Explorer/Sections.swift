// Restartable sections, CPUs and barriers.
//
// A thread runs on a CPU of its scenario. Threads of one CPU take turns: when one is switched in it knows all that the
// others of that CPU did (the kernel's context switch is a full barrier), and a section that another was inside of is
// aborted: none of its later accesses happens, the commit least of all. Threads of other CPUs run in between as they
// like; only a barrier reaches into their sections: it aborts those of the CPUs it names, one CPU after the other, and
// orders everything before it on either side before everything after it on the other.
//
// The accesses of a section are relaxed ones: nothing orders them for threads of other CPUs but the barriers and what
// follows in the program.

import KAllocAtomics

private var isRunning: Bool { km_current_mode() == KM_RUNNING }

private func begin(_ heap: UnsafeMutablePointer<ka_heap>) -> UInt {
  var cpu = machine.pointee.preparingCPU
  if isRunning {
    let m = machine
    considerMigration()
    cpu = m.pointee.threads[m.pointee.current].cpu
    m.pointee.threads[m.pointee.current].inSection = true
    m.pointee.threads[m.pointee.current].isAborted = false
  }
  return UInt(bitPattern: heap.pointee.regions) + UInt(cpu) << UInt(KA_REGION_SHIFT)
}

private func end<Result>(_ result: Result) -> Result {
  if isRunning {
    machine.pointee.threads[machine.pointee.current].inSection = false
    machine.pointee.threads[machine.pointee.current].isAborted = false
  }
  return result
}

/// Lets others run before an access of the section. False: the section was aborted.
private func goesOn(_ address: UInt) -> Bool {
  let m = machine
  yieldPoint(at: address, 8)
  if !m.pointee.threads[m.pointee.current].isAborted { return true }
  m.pointee.hasYielded = false
  return false
}

private func load(_ address: UInt) -> UInt64? {
  if !isRunning { return peek(address, 8) }
  return goesOn(address) ? modelLoad(address, 8, .relaxed) : nil
}

private func store(_ address: UInt, _ value: UInt64) -> Bool {
  if !isRunning {
    if km_current_mode() == KM_LOGGED { save(address, 8) }
    poke(address, 8, value)
    return true
  }
  if !goesOn(address) { return false }
  modelStore(address, 8, .relaxed, value)
  return true
}

@_cdecl("ka_section_pop")
func sectionPop(_ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64) -> UInt64 {
  let words = begin(heap) + UInt(stack)
  guard let top = load(words), let begin = load(words + UInt(KA_STACK_BEGIN)), top > begin,
    let object = load(UInt(top) - 8), store(words, top - 8)
  else { return end(0) }
  return end(object)
}

private func push(_ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64, _ object: UInt64, _ limit: Int32) -> Bool {
  let words = begin(heap) + UInt(stack)
  guard let top = load(words), let limit = load(words + UInt(limit)), top < limit,
    store(UInt(top), object), store(words, top + 8)
  else { return end(false) }
  return end(true)
}

@_cdecl("ka_section_push")
func sectionPush(_ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64, _ object: UInt64) -> Bool {
  push(heap, stack, object, KA_STACK_END)
}

/// Frees that look the class up take the slow half: no scenario is about the lookup, which reads what never changes.
@_cdecl("ka_section_free")
func sectionFree(_ heap: UnsafeMutablePointer<ka_heap>, _ address: UInt64) -> Bool { false }

@_cdecl("ka_section_free_to")
func sectionFreeTo(_ heap: UnsafeMutablePointer<ka_heap>, _ address: UInt64, _ stack: UInt64) -> Bool { false }

@_cdecl("ka_section_push_room")
func sectionPushRoom(_ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64, _ object: UInt64) -> Bool {
  push(heap, stack, object, KA_STACK_ROOM)
}

@_cdecl("ka_section_pop_batch")
func sectionPopBatch(
  _ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64, _ target: UnsafeMutablePointer<UInt64>, _ limit: UInt64
) -> UInt64 {
  let words = begin(heap) + UInt(stack)
  guard let top = load(words), let begin = load(words + UInt(KA_STACK_BEGIN)), top > begin else { return end(0) }
  let bytes = min(limit, top - begin)
  for index in 0..<Int(bytes / 8) {
    guard let object = load(UInt(top - bytes) + UInt(index * 8)) else { return end(0) }
    plainStore(UInt(bitPattern: target + index), object)
  }
  return store(words, top - bytes) ? end(bytes) : end(0)
}

@_cdecl("ka_section_push_batch")
func sectionPushBatch(
  _ heap: UnsafeMutablePointer<ka_heap>, _ stack: UInt64, _ sourceEnd: UnsafePointer<UInt64>, _ limit: UInt64
) -> UInt64 {
  let words = begin(heap) + UInt(stack)
  guard let top = load(words), let room = load(words + UInt(KA_STACK_ROOM)), room > top else { return end(0) }
  let bytes = min(limit, room - top)
  for index in 0..<Int(bytes / 8) {
    let object = plainLoad(UInt(bitPattern: sourceEnd) - UInt(bytes) + UInt(index * 8))
    guard store(UInt(top) + UInt(index * 8), object) else { return end(0) }
  }
  return store(words, top + bytes) ? end(bytes) : end(0)
}

@_cdecl("ka_section_replace")
func sectionReplace(
  _ heap: UnsafeMutablePointer<ka_heap>, _ cpu: UInt64, _ guardOffset: UInt64, _ guardWord: UInt64, _ offset: UInt64,
  _ expected: UInt64, _ desired: UInt64
) -> Bool {
  let region = begin(heap)
  guard region == UInt(bitPattern: heap.pointee.regions) + UInt(cpu) << UInt(KA_REGION_SHIFT),
    let gate = load(region), gate == 0, let guarding = load(region + UInt(guardOffset)), guarding == guardWord,
    let found = load(region + UInt(offset)), found == expected,
    store(region + UInt(offset), desired)
  else { return end(false) }
  return end(true)
}

// MARK: Plain words that a section moves pointers to and from

func plainStore(_ address: UInt, _ value: UInt64) {
  if km_current_mode() != KM_IMMEDIATE, address &- UInt(KM_ARENA_BASE) < 1 << UInt(KM_ARENA_SHIFT) {
    plainAccess(UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped, 8, true)
  }
  poke(address, 8, value)
}

func plainLoad(_ address: UInt) -> UInt64 {
  if km_current_mode() != KM_IMMEDIATE, address &- UInt(KM_ARENA_BASE) < 1 << UInt(KM_ARENA_SHIFT),
    km_written_page(UInt64(address)).pointee != 0
  {
    plainAccess(UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped, 8, false)
  }
  return peek(address, 8)
}

// MARK: CPUs

/// Where the scenario lets threads migrate: this one may be on the next CPU from here on.
private func considerMigration() {
  let m = machine
  if !m.pointee.migrates { return }
  let thread = tick()
  if !eventHappens(isPaid: true) { return }
  let old = m.pointee.threads[thread].cpu
  let cpu = (old + 1) % Int(m.pointee.cpuLimit)
  m.pointee.cpuClocks[old].join(m.pointee.threads[thread].clock)
  m.pointee.threads[thread].cpu = cpu
  switchIn(thread)
  trace(.migrate, nil, .relaxed, UInt64(old), UInt64(cpu), 0)
}

@_cdecl("ka_current_cpu")
func currentCPU() -> UInt32 {
  if !isRunning { return UInt32(machine.pointee.preparingCPU) }
  considerMigration()
  let cpu = machine.pointee.threads[machine.pointee.current].cpu
  // What a thread knows of its CPU may be old when it uses it.
  considerMigration()
  return UInt32(cpu)
}

@_cdecl("ka_thread_slot")
func threadSlot() -> Int32 { Int32(isRunning ? machine.pointee.current : machine.pointee.preparingCPU) }

@_cdecl("ka_rseq_available")
func rseqAvailable() -> Bool { true }

@_cdecl("ka_rseq_adopt")
func rseqAdopt() {}

@_cdecl("ka_barrier_register")
func barrierRegister() -> Bool { true }

private func isBarrierRefused() -> Bool {
  let m = machine
  if m.pointee.barriersMade >= m.pointee.barriersAllowed { return true }
  m.pointee.barriersMade += 1
  return false
}

@_cdecl("ka_barrier_sections")
func barrierSections(_ cpu: Int32) -> ka_barrier {
  let m = machine
  if !isRunning { return KA_BARRIER_DONE }
  if isBarrierRefused() { return KA_BARRIER_UNAVAILABLE }
  let mine = m.pointee.threads[m.pointee.current].cpu
  for target in 0..<Int(m.pointee.cpuLimit) where target != mine && (cpu < 0 || target == Int(cpu)) {
    yieldPoint()
    let thread = tick()
    trace(.barrier, nil, .consistent, UInt64(target), 0, 0)
    for other in 0..<m.pointee.threadCount where m.pointee.threads[other].cpu == target {
      if m.pointee.threads[other].inSection { m.pointee.threads[other].isAborted = true }
      exchangeClocks(thread, other)
    }
    m.pointee.threads[thread].clock.join(m.pointee.cpuClocks[target])
    m.pointee.cpuClocks[target].join(m.pointee.threads[thread].clock)
  }
  return KA_BARRIER_DONE
}

@_cdecl("ka_barrier_threads")
func barrierThreads() -> ka_barrier {
  let m = machine
  if !isRunning { return KA_BARRIER_DONE }
  if isBarrierRefused() { return KA_BARRIER_UNAVAILABLE }
  for other in 0..<m.pointee.threadCount where other != m.pointee.current {
    yieldPoint()
    let thread = tick()
    trace(.barrier, nil, .consistent, UInt64(other), 0, 0)
    exchangeClocks(thread, other)
  }
  return KA_BARRIER_DONE
}

private func exchangeClocks(_ one: Int, _ other: Int) {
  let m = machine
  m.pointee.threads[one].clock.join(m.pointee.threads[other].clock)
  m.pointee.threads[other].clock.join(m.pointee.threads[one].clock)
}
