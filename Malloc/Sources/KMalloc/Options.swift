// The environment variable KALLOC_OPTIONS: `key=value` pairs, separated by commas. Read once, when the heap is made.
// A key or a value that is not known is reported on standard error, and the program goes on. Of a key that is there twice the last
// value counts.

import CMalloc
import Slab

/// What the environment asks for.
struct Options {
  enum Statistics { case none, text, json }

  var help = false
  var mode: BindingMode? = nil
  var limit: Int = .max
  var statistics = Statistics.none
  var leaks = false
  var check = false
  var verbose = false
  /// Whether there is a heap profile, in which one allocation in so many bytes is sampled.
  var profiles = false
  var profilePeriod = 512 << 10
  /// Fails every n-th allocation; 0: none.
  var failEvery = 0
  /// Fails allocations behind the n-th; 0: none.
  var failAfter = 0
  /// How many are failed, at most.
  var failTimes: Int = .max
  /// Only allocations of so many bytes and more.
  var failMinimum = 0

  var reportsAtExit: Bool { statistics != .none || leaks || check || profiles }
  var injectsFaults: Bool { failEvery > 0 || failAfter > 0 }
  /// Whether each call must take the slow half.
  var interceptsCalls: Bool { injectsFaults || profiles }

  static let help: StaticString = """
    KALLOC_OPTIONS: key=value pairs, separated by commas
      help               print this list and go on
      mode=M             rseq, thread or shared: what the caches are bound to (KALLOC_MODE does the same)
      limit=N            bytes that may be committed at once; K, M and G are understood
      stats=text|json    print statistics when the program exits
      leaks=1            print the blocks that are still allocated when the program exits, by size
      check=1            when the program exits, empty the caches and validate the heap: finds late double frees
      fail_every=N       every N-th allocation fails
      fail_after=N       allocations fail after the N-th
      fail_times=N       at most so many fail
      fail_min=N         only allocations of N bytes and more count
      profile=PATH       write a sampled heap profile to PATH.PROCESS.heap when the program exits; for pprof
      profile_period=N   sample one allocation in N bytes, 512K by default; 1: all
      output=FILE        append what is printed at exit to FILE; standard error otherwise
      verbose=1          say when the heap is made, and how

    """

  /// Reads `text`. Reports what is not understood where `reporting`.
  ///
  /// > Safety: `text` ends with a zero.
  @unsafe
  init(_ text: UnsafePointer<CChar>, reporting: Bool) {
    var start = 0
    while unsafe text[start] != 0 {
      var end = start
      while unsafe text[end] != 0 && text[end] != 0x2c { end += 1 }
      if end > start {
        let item = unsafe Item(text + start, count: end - start)
        if !apply(item) && reporting { item.report("KALLOC_OPTIONS", "KALLOC_OPTIONS=help lists the options") }
      }
      start = unsafe text[end] == 0 ? end : end + 1
    }
  }

  init() {}

  private mutating func apply(_ item: Item) -> Bool {
    if item.key("help") {
      help = true
      return true
    }
    if item.key("output") { return unsafe item.copyValue(km_output_path()) }
    if item.key("profile") {
      guard unsafe item.copyValue(km_profile_path()) else { return false }
      profiles = true
      return true
    }
    if item.key("mode") { return apply(mode: item) }
    if item.key("stats") { return apply(statistics: item) }
    guard let number = item.number else { return false }
    if item.key("limit") {
      limit = number
    } else if item.key("leaks") {
      leaks = number != 0
    } else if item.key("check") {
      check = number != 0
    } else if item.key("verbose") {
      verbose = number != 0
    } else if item.key("profile_period") {
      profilePeriod = max(number, 1)
    } else if item.key("fail_every") {
      failEvery = number
    } else if item.key("fail_after") {
      failAfter = number
    } else if item.key("fail_times") {
      failTimes = number
    } else if item.key("fail_min") {
      failMinimum = number
    } else {
      return false
    }
    return true
  }

  private mutating func apply(mode item: Item) -> Bool {
    let found: BindingMode? =
      item.value("rseq") ? .rseq : item.value("thread") ? .thread : item.value("shared") ? .shared : nil
    if found != nil { mode = found }
    return found != nil
  }

  /// > Safety: `word` ends with a zero.
  @unsafe
  static func mode(named word: UnsafePointer<CChar>) -> BindingMode? {
    let item = unsafe Item(whole: word)
    return item.key("rseq") ? .rseq : item.key("thread") ? .thread : item.key("shared") ? .shared : nil
  }

  /// Says that the value of another variable is ignored, and what it may be.
  ///
  /// > Safety: `value` ends with a zero.
  @unsafe
  static func report(_ variable: StaticString, _ value: UnsafePointer<CChar>, _ hint: StaticString) {
    unsafe Item(whole: value).report(variable, hint)
  }

  private mutating func apply(statistics item: Item) -> Bool {
    if item.value("text") {
      statistics = .text
    } else if item.value("json") {
      statistics = .json
    } else {
      return false
    }
    return true
  }
}

/// One `key=value` of the variable, or a key alone.
///
/// ## Invariants
/// `text` has `count` characters and outlives the value.
@safe
private struct Item {
  private let text: UnsafePointer<CChar>
  private let count: Int
  /// The characters of the key.
  private let length: Int

  @unsafe
  init(_ text: UnsafePointer<CChar>, count: Int) {
    unsafe self.text = text
    self.count = count
    var length = 0
    while unsafe length < count && text[length] != 0x3d { length += 1 }
    self.length = length
  }

  /// All of `text` as a key.
  ///
  /// > Safety: `text` ends with a zero.
  @unsafe
  init(whole text: UnsafePointer<CChar>) {
    var count = 0
    while unsafe text[count] != 0 { count += 1 }
    unsafe self.text = text
    self.count = count
    length = count
  }

  private func matches(_ word: StaticString, from start: Int, to end: Int) -> Bool {
    guard end - start == word.utf8CodeUnitCount else { return false }
    for index in start..<end
    where unsafe UInt8(bitPattern: text[index]) != word.utf8Start[index - start] {
      return false
    }
    return true
  }

  func key(_ word: StaticString) -> Bool { matches(word, from: 0, to: length) }
  func value(_ word: StaticString) -> Bool { hasValue && matches(word, from: length + 1, to: count) }
  var hasValue: Bool { length + 1 < count }

  /// The value as a number with an optional K, M or G behind it.
  var number: Int? {
    guard hasValue else { return nil }
    var result = 0
    for index in length + 1..<count {
      let digit = unsafe Int(text[index]) - 0x30
      if (0...9).contains(digit) {
        let (tens, first) = result.multipliedReportingOverflow(by: 10)
        let (sum, second) = tens.addingReportingOverflow(digit)
        if first || second { return nil }
        result = sum
      } else {
        guard index == count - 1, index > length + 1 else { return nil }
        let shift: Int
        switch unsafe text[index] {
        case 0x4b, 0x6b: shift = 10
        case 0x4d, 0x6d: shift = 20
        case 0x47, 0x67: shift = 30
        default: return nil
        }
        return result <= .max >> shift ? result << shift : nil
      }
    }
    return result
  }

  /// Copies the value to a path of the options; false: there is none, or no room for it.
  ///
  /// > Safety: `path` has room for `km_path_bytes` characters.
  @unsafe
  func copyValue(_ path: UnsafeMutablePointer<CChar>) -> Bool {
    guard hasValue, count - length <= km_path_bytes else { return false }
    for index in length + 1..<count { unsafe path[index - length - 1] = text[index] }
    unsafe path[count - length - 1] = 0
    return true
  }

  func report(_ variable: StaticString, _ hint: StaticString) {
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
      var line = unsafe Text(buffer, file: 2)
      line.write("kalloc: ")
      line.write(variable)
      line.write(": not understood: ")
      // Nothing that a terminal would obey.
      for index in 0..<min(count, 160) {
        let byte = unsafe UInt8(bitPattern: text[index])
        line.write(byte: byte < 0x20 || byte == 0x7f ? 0x3f : byte)
      }
      line.write(" (")
      line.write(hint)
      line.write(")\n")
      line.flush()
    }
  }
}
