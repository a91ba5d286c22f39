// The memory model: release/acquire with relaxed and sequentially consistent operations, by views.
//
// Each shared word has its stores in modification order, as messages. A load may find any message that nothing it knows
// of has overtaken:
//
//     messages of one word    ①  ②  ③  ④      thread's clock knows that somebody wrote or read ②
//                                 └──┴──┴── may be read; ① may not (coherence)
//
// "Knows of" is happens-before, kept in vector clocks with four lanes, one count of operations for each thread. A
// message carries the clock that an acquiring load joins: the writer's own for a release, that of its last release
// fence for a relaxed store, and for a read-modify-write also that of the message it read (release sequence). A message
// also remembers when each thread first met it. That is what a view of promising semantics (Kang et al., POPL 2017) or
// the timestamps of a view machine hold, in a form that does not grow with the number of words.
//
// A read-modify-write reads the newest message, as atomicity demands where stores go to the end of the order. A
// compare-exchange that fails is a load, and may find an old value like one. A sequentially consistent access of a word
// finds nothing older than the last one of that word found or wrote (C++20's coherence-ordered-before, which for
// accesses of one word is the whole rule); a fence joins a clock of all fences in both directions.
//
// Not modelled: a store that is ordered before one that has already executed (2+2W), and a load that reads from a store
// that comes later (load buffering). Both need relaxed stores whose effect is delayed; neither x86-64 nor compilers in
// use show the second, AArch64 may show the first.

import KAllocAtomics

enum Ordering: UInt32 {
  case relaxed, acquire, release, acquireRelease, consistent

  var acquires: Bool { self == .acquire || self == .acquireRelease || self == .consistent }
  var releases: Bool { self == .release || self == .acquireRelease || self == .consistent }
  /// Of the load that a failed compare-exchange is.
  var onFailure: Ordering {
    switch self {
    case .relaxed, .release: .relaxed
    case .acquire, .acquireRelease: .acquire
    case .consistent: .consistent
    }
  }
}

// MARK: Real memory: the newest value of every word

@inline(__always)
func peek(_ address: UInt, _ size: UInt32) -> UInt64 {
  let pointer = UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped
  switch size {
  case 1: return UInt64(pointer.load(as: UInt8.self))
  case 4: return UInt64(pointer.load(as: UInt32.self))
  default: return pointer.load(as: UInt64.self)
  }
}

@inline(__always)
func poke(_ address: UInt, _ size: UInt32, _ value: UInt64) {
  let pointer = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
  switch size {
  case 1: pointer.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
  case 4: pointer.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
  default: pointer.storeBytes(of: value, as: UInt64.self)
  }
}

@inline(__always)
func truncated(_ value: UInt64, _ size: UInt32) -> UInt64 { size == 8 ? value : value & ((1 << UInt64(size * 8)) - 1) }

/// Remembers what a place holds, for the next execution.
@inline(__always)
func save(_ address: UInt, _ size: UInt32) {
  machine.pointee.saved.append(Saved(address: address, value: peek(address, size), size: size))
}

func restoreMemory() {
  let m = machine
  var index = m.pointee.saved.count
  while index > 0 {
    index -= 1
    let entry = m.pointee.saved[index]
    poke(entry.address, entry.size, entry.value)
  }
  m.pointee.saved.removeAll()
}

// MARK: Words

@inline(__always)
private func locate(_ address: UInt, _ size: UInt32) -> UnsafeMutablePointer<Location> {
  if let found = machine.pointee.locations.find(address) {
    if found.pointee.size != size { fail("a word is accessed with two sizes") }
    return found
  }
  return machine.pointee.locations.insert(address, Location(address: address, size: size))
}

/// Lets others run first, where this word is a point of choice. Then the current thread's operation begins.
@inline(__always)
private func arrive(at place: UnsafeMutablePointer<Location>) -> Int {
  let m = machine
  if m.pointee.hasYielded {
    m.pointee.hasYielded = false
  } else if place.pointee.isShared || m.pointee.isReplaying {
    yieldPoint()
  }
  let thread = tick()
  if place.pointee.epoch != m.pointee.epoch { renew(place) }
  return thread
}

/// The yield of an access that has yet to learn whether it happens at all.
func yieldPoint(at address: UInt, _ size: UInt32) {
  let m = machine
  if locate(address, size).pointee.isShared || m.pointee.isReplaying { yieldPoint() }
  m.pointee.hasYielded = true
}

private func renew(_ place: UnsafeMutablePointer<Location>) {
  place.pointee.epoch = machine.pointee.epoch
  place.pointee.writer = 0
  place.pointee.written = 0
  place.pointee.reads = .zero
  place.pointee.lastConsistent = 0
  place.pointee.count = 0
  place.pointee.hash = 0
  append(
    place, Message(value: peek(place.pointee.address, place.pointee.size), release: .zero, ordered: .zero, seen: .zero))
}

private func append(_ place: UnsafeMutablePointer<Location>, _ message: Message) {
  if place.pointee.count == place.pointee.capacity {
    let larger = max(8, place.pointee.capacity * 2)
    let memory = UnsafeMutablePointer<Message>.allocate(capacity: larger)
    if let old = place.pointee.messages {
      memory.moveInitialize(from: old, count: place.pointee.count)
      old.deallocate()
    }
    place.pointee.messages = memory
    place.pointee.capacity = larger
  }
  (place.pointee.messages + place.pointee.count).initialize(to: message)
  place.pointee.count += 1
}

/// Notes who is at the word. Two threads at once, one of them writing, make the word a shared one.
///
/// Accesses that acquire and release order cannot come in another order, nor can such a load find an old value: as for
/// plain memory without data races, such a word needs no point of choice.
@inline(__always)
func note(_ place: UnsafeMutablePointer<Location>, _ thread: Int, writes: Bool) {
  let m = machine
  if place.pointee.isShared || m.pointee.isReplaying { return }
  let ordered = m.pointee.threads[thread].ordered
  let now = m.pointee.threads[thread].clock[thread]
  let writer = Int(place.pointee.writer)
  var isOrdered = place.pointee.written <= ordered[writer] || writer == thread
  if writes {
    var others = place.pointee.reads
    others[thread] = 0
    if any(others .> ordered) { isOrdered = false }
    place.pointee.writer = UInt8(thread)
    place.pointee.written = now
    place.pointee.reads = .zero
  } else {
    place.pointee.reads[thread] = now
  }
  if !isOrdered {
    place.pointee.isShared = true
    leave(.discovery)
  }
  let last = UInt64(place.pointee.written) << 8 | UInt64(place.pointee.writer)
  let hash = mix(mix(UInt64(place.pointee.address), last), place.pointee.reads)
  m.pointee.locationHash ^= place.pointee.hash ^ hash
  place.pointee.hash = hash
}

private func rehash(_ place: UnsafeMutablePointer<Location>) {
  var hash = mix(UInt64(place.pointee.address), UInt64(place.pointee.lastConsistent))
  for index in 0..<place.pointee.count {
    let message = place.pointee.messages + index
    hash = mix(mix(mix(hash, message.pointee.value), message.pointee.release), message.pointee.seen)
    hash = mix(hash, message.pointee.ordered)
  }
  machine.pointee.locationHash ^= place.pointee.hash ^ hash
  place.pointee.hash = hash
}

/// The oldest message that the thread may read.
private func floor(_ place: UnsafeMutablePointer<Location>, _ clock: Clock, _ order: Ordering) -> Int {
  var index = place.pointee.count - 1
  while index > 0 && !any(place.pointee.messages[index].seen .<= clock) { index -= 1 }
  return order == .consistent ? max(index, place.pointee.lastConsistent) : index
}

private func read(_ place: UnsafeMutablePointer<Location>, _ index: Int, _ thread: Int, _ order: Ordering) {
  let self_ = machine.pointee.threads + thread
  let message = place.pointee.messages + index
  if message.pointee.seen[thread] == .max { message.pointee.seen[thread] = self_.pointee.clock[thread] }
  if order.acquires {
    self_.pointee.clock.join(message.pointee.release)
    self_.pointee.ordered.join(message.pointee.ordered)
  } else {
    self_.pointee.unacquired.join(message.pointee.release)
  }
  if order == .consistent { place.pointee.lastConsistent = max(place.pointee.lastConsistent, index) }
}

private func write(
  _ place: UnsafeMutablePointer<Location>, _ value: UInt64, _ thread: Int, _ order: Ordering, after: Message?
) {
  let self_ = machine.pointee.threads + thread
  var release = order.releases ? self_.pointee.clock : self_.pointee.released
  // What acquires before it in program order published is ordered, too; the thread's own lane is its time.
  var ordered = Clock.zero
  if order.releases {
    ordered = self_.pointee.ordered
    ordered[thread] = self_.pointee.clock[thread]
  }
  if let after {
    release.join(after.release)
    ordered.join(after.ordered)
  }
  var seen = Clock.never
  seen[thread] = self_.pointee.clock[thread]
  if place.pointee.count == 1 { save(place.pointee.address, place.pointee.size) }
  append(place, Message(value: value, release: release, ordered: ordered, seen: seen))
  if order == .consistent { place.pointee.lastConsistent = place.pointee.count - 1 }
  poke(place.pointee.address, place.pointee.size, value)
}

@inline(__always)
private func remember(_ thread: Int, _ value: UInt64) {
  let self_ = machine.pointee.threads + thread
  self_.pointee.history = mix(self_.pointee.history, value)
}

// MARK: Operations

func modelLoad(_ address: UInt, _ size: UInt32, _ order: Ordering) -> UInt64 {
  let m = machine
  let place = locate(address, size)
  let thread = arrive(at: place)
  note(place, thread, writes: false)
  var value: UInt64
  var old = 0
  if place.pointee.isShared || m.pointee.isReplaying {
    let newest = place.pointee.count - 1
    if newest > 0 {
      let options = newest - floor(place, m.pointee.threads[thread].clock, order) + 1
      old = staleChoice(options)
    }
    read(place, newest - old, thread, order)
    value = place.pointee.messages[newest - old].value
    rehash(place)
  } else {
    value = peek(address, size)
  }
  remember(thread, value)
  trace(.load, place, order, value, value, old)
  return value
}

func modelStore(_ address: UInt, _ size: UInt32, _ order: Ordering, _ value: UInt64) {
  let m = machine
  let place = locate(address, size)
  let thread = arrive(at: place)
  note(place, thread, writes: true)
  let value = truncated(value, size)
  trace(.store, place, order, peek(address, size), value, 0)
  if place.pointee.isShared || m.pointee.isReplaying {
    write(place, value, thread, order, after: nil)
    rehash(place)
  } else {
    save(address, size)
    poke(address, size, value)
  }
}

func modelUpdate(
  _ address: UInt, _ size: UInt32, _ order: Ordering, _ kind: EventKind, _ operand: UInt64
) -> UInt64 {
  let m = machine
  let place = locate(address, size)
  let thread = arrive(at: place)
  note(place, thread, writes: true)
  let found = peek(address, size)
  let value = truncated(applied(kind, found, operand), size)
  if place.pointee.isShared || m.pointee.isReplaying {
    let newest = place.pointee.count - 1
    read(place, newest, thread, order)
    write(place, value, thread, order, after: place.pointee.messages[newest])
    rehash(place)
  } else {
    save(address, size)
    poke(address, size, value)
  }
  remember(thread, found)
  trace(kind, place, order, found, value, 0)
  return found
}

@inline(__always)
func applied(_ kind: EventKind, _ found: UInt64, _ operand: UInt64) -> UInt64 {
  switch kind {
  case .add: found &+ operand
  case .subtract: found &- operand
  case .or: found | operand
  case .and: found & operand
  default: operand
  }
}

func modelCompareExchange(
  _ address: UInt, _ size: UInt32, _ order: Ordering, _ expected: UInt64, _ desired: UInt64
) -> UInt64 {
  let m = machine
  let place = locate(address, size)
  let thread = arrive(at: place)
  let newestValue = peek(address, size)
  note(place, thread, writes: newestValue == expected)
  if !place.pointee.isShared && !m.pointee.isReplaying {
    if newestValue == expected {
      save(address, size)
      poke(address, size, truncated(desired, size))
    }
    remember(thread, newestValue)
    trace(newestValue == expected ? .swap : .noSwap, place, order, newestValue, desired, 0)
    return newestValue
  }
  let newest = place.pointee.count - 1
  // Ways on: as the newest message says, or failure by an older one with another value.
  let lowest = newest == 0 ? 0 : floor(place, m.pointee.threads[thread].clock, order.onFailure)
  var old = 0
  if lowest < newest {
    var options = 1
    for index in lowest..<newest where place.pointee.messages[index].value != expected { options += 1 }
    var way = staleChoice(options)
    while way > 0 {
      old += 1
      if place.pointee.messages[newest - old].value != expected { way -= 1 }
    }
  }
  let found = place.pointee.messages[newest - old].value
  let succeeds = old == 0 && found == expected
  if succeeds {
    read(place, newest, thread, order)
    write(place, truncated(desired, size), thread, order, after: place.pointee.messages[newest])
  } else {
    read(place, newest - old, thread, order.onFailure)
  }
  rehash(place)
  remember(thread, found)
  trace(succeeds ? .swap : .noSwap, place, order, found, desired, old)
  return found
}

func modelFence(_ order: Ordering) {
  let m = machine
  if !m.pointee.usesFences {
    m.pointee.usesFences = true
    if !m.pointee.isReplaying { leave(.discovery) }
  }
  yieldPoint()
  let thread = tick()
  let self_ = m.pointee.threads + thread
  if order.acquires { self_.pointee.clock.join(self_.pointee.unacquired) }
  if order == .consistent {
    self_.pointee.clock.join(m.pointee.fenceClock)
    m.pointee.fenceClock = self_.pointee.clock
  }
  if order.releases { self_.pointee.released = self_.pointee.clock }
  trace(.fence, nil, order, 0, 0, 0)
}
