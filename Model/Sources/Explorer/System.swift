// The entry points of the simulated C target that are neither sections nor plain accesses: atomic operations and the
// operating system. Memory comes from the arena, at the same addresses in every run.

import KAllocAtomics

private var isRunning: Bool { km_current_mode() == KM_RUNNING }

@inline(__always)
private func ordering(_ raw: UInt32) -> Ordering { Ordering(rawValue: raw).unsafelyUnwrapped }

@_cdecl("km_load")
func machineLoad(_ word: UnsafeRawPointer, _ size: UInt32, _ order: UInt32) -> UInt64 {
  modelLoad(UInt(bitPattern: word), size, ordering(order))
}

@_cdecl("km_store")
func machineStore(_ word: UnsafeMutableRawPointer, _ size: UInt32, _ order: UInt32, _ value: UInt64) {
  let address = UInt(bitPattern: word)
  if isRunning { return modelStore(address, size, ordering(order), value) }
  if km_current_mode() == KM_LOGGED { save(address, size) }
  poke(address, size, value)
}

@_cdecl("km_update")
func machineUpdate(
  _ word: UnsafeMutableRawPointer, _ size: UInt32, _ order: UInt32, _ operation: UInt32, _ operand: UInt64
) -> UInt64 {
  let address = UInt(bitPattern: word)
  let kind = EventKind(rawValue: operation).unsafelyUnwrapped
  if isRunning { return modelUpdate(address, size, ordering(order), kind, operand) }
  if km_current_mode() == KM_LOGGED { save(address, size) }
  let found = peek(address, size)
  poke(address, size, applied(kind, found, operand))
  return found
}

@_cdecl("km_compare_exchange")
func machineCompareExchange(
  _ word: UnsafeMutableRawPointer, _ size: UInt32, _ order: UInt32, _ expected: UInt64, _ desired: UInt64
) -> UInt64 {
  let address = UInt(bitPattern: word)
  if isRunning { return modelCompareExchange(address, size, ordering(order), expected, desired) }
  let found = peek(address, size)
  if found == expected {
    if km_current_mode() == KM_LOGGED { save(address, size) }
    poke(address, size, desired)
  }
  return found
}

@_cdecl("km_fence")
func machineFence(_ order: UInt32) {
  if isRunning { modelFence(ordering(order)) }
}

@_cdecl("km_trapped")
func machineTrapped() { fail("the thread trapped: a precondition, an overflow or a wild pointer") }

// MARK: The operating system

func arenaTake(_ bytes: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
  let m = machine
  let mask = UInt(max(alignment, 4096)) - 1
  let start = (m.pointee.arenaNext + mask) & ~mask
  if start + UInt(bytes) > UInt(KM_ARENA_BASE) + 1 << UInt(KM_ARENA_SHIFT) { return nil }
  if isRunning { fail("a scenario maps memory while threads run") }
  m.pointee.arenaNext = start + UInt(bytes)
  return UnsafeMutableRawPointer(bitPattern: start)
}

@_cdecl("ka_os_reserve")
func osReserve(_ bytes: Int, _ alignment: Int) -> UnsafeMutableRawPointer? { arenaTake(bytes, alignment) }

@_cdecl("ka_os_map")
func osMap(_ bytes: Int, _ alignment: Int) -> UnsafeMutableRawPointer? { arenaTake(bytes, alignment) }

@_cdecl("ka_os_commit")
func osCommit(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
  if !isRunning { return true }
  let m = machine
  _ = tick()
  let refused = m.pointee.commitMayFail && eventHappens(isPaid: false)
  trace(.commit, nil, .relaxed, UInt64(UInt(bitPattern: address)), refused ? 0 : 1, 0)
  if refused { return false }
  writeRange(UInt(bitPattern: address), UInt(bitPattern: address) + UInt(bytes), clears: false)
  return true
}

@_cdecl("ka_os_read_only")
func osReadOnly(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool { true }

@_cdecl("ka_os_purge")
func osPurge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
  if !isRunning { return true }
  _ = tick()
  trace(.purge, nil, .relaxed, UInt64(UInt(bitPattern: address)), UInt64(bytes), 0)
  writeRange(UInt(bitPattern: address), UInt(bitPattern: address) + UInt(bytes), clears: true)
  return true
}

@_cdecl("ka_os_purge_ranges")
func osPurgeRanges(_ list: UnsafePointer<ka_os_ranges>) -> Bool {
  let first = UnsafeRawPointer(list).assumingMemoryBound(to: (address: UInt, bytes: Int).self)
  for index in 0..<list.pointee.count {
    let range = first[index]
    _ = osPurge(UnsafeMutableRawPointer(bitPattern: range.address)!, range.bytes)
  }
  return true
}

@_cdecl("ka_os_unmap")
func osUnmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) { _ = osPurge(address, bytes) }

@_cdecl("ka_os_remap")
func osRemap(
  _ address: UnsafeMutableRawPointer, _ bytes: Int, _ newBytes: Int, _ mayMove: Bool
) -> UnsafeMutableRawPointer? { nil }

@_cdecl("ka_os_bind")
func osBind(_ address: UnsafeMutableRawPointer, _ bytes: Int, _ node: UInt32, _ strict: Bool) -> Bool { false }

@_cdecl("ka_os_no_huge_pages")
func osNoHugePages(_ address: UnsafeMutableRawPointer, _ bytes: Int) {}

@_cdecl("ka_os_blocks_begin")
func osBlocksBegin(_ address: UnsafeMutableRawPointer, _ bytes: Int) {}

@_cdecl("ka_os_blocks_end")
func osBlocksEnd(_ address: UnsafeMutableRawPointer, _ bytes: Int) {}

@_cdecl("ka_os_cpu_limit")
func osCPULimit() -> UInt32 { machine.pointee.cpuLimit }

@_cdecl("ka_os_physical_bytes")
func osPhysicalBytes() -> UInt64 { 1 << 23 }

@_cdecl("ka_os_milliseconds")
func osMilliseconds() -> UInt64 { machine.pointee.milliseconds }

@_cdecl("ka_os_environment")
func osEnvironment(_ name: UnsafePointer<CChar>) -> UnsafePointer<CChar>? { nil }

@_cdecl("ka_os_abort")
func osAbort() -> Never { fail("the allocator ends the process") }

/// Of an environment that is empty here.
@_cdecl("ka_os_report_once")
func osReportOnce(_ text: UnsafePointer<CChar>, _ bytes: Int) { osReport(text, bytes) }

/// What the allocator reports is a misuse that no scenario commits.
@_cdecl("ka_os_report")
func osReport(_ text: UnsafePointer<CChar>, _ bytes: Int) {
  let m = machine
  for index in 0..<min(bytes, 159) { m.pointee.report[index] = UInt8(bitPattern: text[index]) }
  m.pointee.report[min(bytes, 159)] = 0
  fail("the allocator reports misuse")
}
