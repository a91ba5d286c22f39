// What is recorded of a replayed execution, for people.

import KAllocAtomics

/// Read-modify-writes have the numbers that the simulated C target gives them.
enum EventKind: UInt32 {
  case exchange, add, subtract, or, and
  case load, store, swap, noSwap, fence, barrier, migrate, commit, purge, note

  var text: String {
    switch self {
    case .exchange: "exchange"
    case .add: "add"
    case .subtract: "subtract"
    case .or: "or"
    case .and: "and"
    case .load: "load"
    case .store: "store"
    case .swap: "swap"
    case .noSwap: "no swap"
    case .fence: "fence"
    case .barrier: "barrier for"
    case .migrate: "migrates"
    case .commit: "commit"
    case .purge: "purge"
    case .note: ""
    }
  }
}

struct Event {
  let thread: Int
  let kind: EventKind
  let order: Ordering
  let address: UInt
  let before: UInt64
  let after: UInt64
  let stale: Int
  let text: StaticString
}

@inline(__always)
func trace(
  _ kind: EventKind, _ place: UnsafeMutablePointer<Location>?, _ order: Ordering, _ before: UInt64, _ after: UInt64,
  _ stale: Int
) {
  if !machine.pointee.isReplaying { return }
  let event = Event(
    thread: machine.pointee.current, kind: kind, order: order, address: place?.pointee.address ?? 0, before: before,
    after: after, stale: stale, text: "")
  machine.pointee.events.append(event)
}

/// A line in the trace of a replayed execution.
public func note(_ text: StaticString, _ value: UInt64 = 0) {
  if !machine.pointee.isReplaying || km_current_mode() != KM_RUNNING { return }
  let event = Event(
    thread: machine.pointee.current, kind: .note, order: .relaxed, address: 0, before: value, after: 0, stale: 0,
    text: text)
  machine.pointee.events.append(event)
}

extension Ordering {
  var text: String {
    switch self {
    case .relaxed: "relaxed"
    case .acquire: "acquire"
    case .release: "release"
    case .acquireRelease: "acq_rel"
    case .consistent: "seq_cst"
    }
  }
}

func hexadecimal(_ value: UInt64) -> String {
  let text = String(value, radix: 16)
  guard text.count > 8 else { return text }
  // Runs of one digit, as in bitmaps, are shortened.
  var result = ""
  var run = 0
  var last: Character? = nil
  for digit in text + " " {
    if digit == last { run += 1; continue }
    if let last { result += run > 4 ? "\(last)…\(run)" : String(repeating: last, count: run) }
    (last, run) = (digit, 1)
  }
  return result
}

func letter(_ thread: Int) -> String { String(UnicodeScalar(UInt8(97 + thread))) }

/// The recorded events, one line each. `name` says what word an address is; nil leaves the event out.
func render(_ events: [Event], name: (UInt) -> String?) -> [String] {
  events.compactMap { event in
    let who = letter(event.thread)
    let before = hexadecimal(event.before)
    let after = hexadecimal(event.after)
    switch event.kind {
    case .note: return "\(who)  -- \(event.text)\(event.before == 0 ? "" : " \(before)")"
    case .fence: return "\(who)  fence \(event.order.text)"
    case .barrier: return "\(who)  barrier for \(event.before)"
    case .migrate: return "\(who)  moves from CPU \(event.before) to \(event.after)"
    case .commit: return "\(who)  commit \(before)\(event.after == 0 ? " refused" : "")"
    case .purge: return "\(who)  purge \(before), \(event.after) bytes"
    default: break
    }
    guard let place = name(event.address) else { return nil }
    let what = "\(who)  \(place): \(event.kind.text) \(event.order.text) "
    switch event.kind {
    case .load: return what + before + (event.stale > 0 ? "  (stale by \(event.stale))" : "")
    case .noSwap: return what + "found \(before)" + (event.stale > 0 ? "  (stale by \(event.stale))" : "")
    default: return what + "\(before) → \(after)"
    }
  }
}
