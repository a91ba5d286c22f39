// Plain memory: data races and undo.
//
// A plain access is no point of choice. It is compared with those before it, in the manner of FastTrack (Flanagan and
// Freund, PLDI 2009): a write must know of the last write and of the reads since, a read of the last write. Two accesses
// that do not know of each other race in every order, so it does not matter in which one they are met.

import KAllocAtomics

/// A write to a whole range: the operating system gives memory or takes it back.
struct RangeWrite {
  let low: UInt
  let high: UInt
  let thread: Int
  let time: UInt32
}

@_cdecl("km_plain")
func plainAccess(_ pointer: UnsafeRawPointer, _ size: UInt64, _ isWrite: Bool) {
  let address = UInt(bitPattern: pointer)
  var granule = address & ~7
  while granule < address + UInt(size) {
    if km_current_mode() == KM_LOGGED {
      if isWrite { save(granule, 8) }
    } else {
      access(granule, isWrite)
    }
    granule += 8
  }
}

private func access(_ granule: UInt, _ isWrite: Bool) {
  let m = machine
  if isWrite && km_written_page(UInt64(granule)).pointee == 0 {
    // Reads of this page were not looked at until now.
    km_written_page(UInt64(granule)).pointee = 1
    if !m.pointee.isReplaying { leave(.discovery) }
  }
  let thread = m.pointee.current
  if let place = m.pointee.locations.find(granule) { checkWord(place, thread, isWrite) }
  let cell = m.pointee.cells.find(granule) ?? m.pointee.cells.insert(granule, Cell(address: granule))
  check(cell, thread, isWrite)
  if isWrite {
    save(granule, 8)
    cell.pointee.writer = UInt8(thread)
    cell.pointee.written = m.pointee.threads[thread].clock[thread]
    cell.pointee.reads = .zero
  } else {
    cell.pointee.reads[thread] = m.pointee.threads[thread].clock[thread]
  }
  var hash = mix(UInt64(granule), UInt64(cell.pointee.written) << 8 | UInt64(cell.pointee.writer))
  hash = mix(hash, cell.pointee.reads)
  m.pointee.plainHash ^= cell.pointee.hash ^ hash
  cell.pointee.hash = hash
}

private func check(_ cell: UnsafeMutablePointer<Cell>, _ thread: Int, _ isWrite: Bool) {
  let m = machine
  let clock = m.pointee.threads[thread].clock
  let address = cell.pointee.address
  if cell.pointee.epoch != m.pointee.epoch {
    cell.pointee = Cell(address: address, epoch: m.pointee.epoch)
    for index in 0..<m.pointee.ranges.count {
      let range = m.pointee.ranges[index]
      if range.low <= address && address < range.high && range.time > cell.pointee.written {
        cell.pointee.writer = UInt8(range.thread)
        cell.pointee.written = range.time
      }
    }
  }
  if cell.pointee.written > 0 && !clock.contains(Int(cell.pointee.writer), cell.pointee.written) {
    fail(isWrite ? "data race: two plain writes at" : "data race: plain read after a plain write at", UInt64(address))
  }
  if isWrite && any(cell.pointee.reads .> clock) {
    fail("data race: plain write after a plain read at", UInt64(address))
  }
}

/// A plain access to a word that is also accessed atomically must be ordered with the others.
private func checkWord(_ place: UnsafeMutablePointer<Location>, _ thread: Int, _ isWrite: Bool) {
  let m = machine
  if place.pointee.epoch != m.pointee.epoch { return }
  note(place, thread, writes: isWrite)
  let newest = place.pointee.messages[place.pointee.count - 1]
  let clock = m.pointee.threads[thread].clock
  if place.pointee.count > 1 && !any(newest.seen .<= clock) {
    fail("data race: plain access to a word written atomically at", UInt64(place.pointee.address))
  }
  if isWrite { fail("a plain write to a word that is accessed atomically, at", UInt64(place.pointee.address)) }
}

/// The operating system changes a range: as a write to all of it, and what it held is gone.
func writeRange(_ low: UInt, _ high: UInt, clears: Bool) {
  let m = machine
  let thread = m.pointee.current
  for index in 0..<m.pointee.blocks.count {
    let block = m.pointee.blocks[index]
    if block.low < high && low < block.high { fail("memory in use goes to the operating system at", UInt64(block.low)) }
  }
  for index in 0..<m.pointee.cells.all.count {
    let cell = m.pointee.cells.all[index]
    if cell.pointee.epoch != m.pointee.epoch || cell.pointee.address < low || cell.pointee.address >= high { continue }
    check(cell, thread, true)
    cell.pointee.writer = UInt8(thread)
    cell.pointee.written = m.pointee.threads[thread].clock[thread]
    cell.pointee.reads = .zero
    m.pointee.plainHash ^= cell.pointee.hash
    cell.pointee.hash = 0
  }
  let time = m.pointee.threads[thread].clock[thread]
  m.pointee.ranges.append(RangeWrite(low: low, high: high, thread: thread, time: time))
  m.pointee.plainHash ^= mix(mix(UInt64(low), UInt64(high)), UInt64(time) << 8 | UInt64(thread))
  if !clears { return }
  var page = low
  while page < high {
    if peek(page, 8) != 0 {
      save(page, 8)
      poke(page, 8, 0)
    }
    page += 4096
  }
}
