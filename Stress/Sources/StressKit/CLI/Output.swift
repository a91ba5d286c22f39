import Foundation

/// Files that the program writes.
enum Output {
  static func print(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  /// Refuses, before a long run, a place where nothing can be written, by trying: what was there stays as it was.
  static func checkWritable(_ path: String) throws {
    let isThere = access(path, F_OK) == 0
    let file = open(path, O_WRONLY | (isThere ? 0 : O_CREAT | O_EXCL), 0o666)
    guard file >= 0 else { throw cannotWrite(path) }
    close(file)
    if !isThere { unlink(path) }
  }

  /// The whole file or nothing.
  static func write(_ data: Data, to path: String) throws {
    let options: Data.WritingOptions = path.hasPrefix("/dev/") ? [] : .atomic
    do { try data.write(to: URL(fileURLWithPath: path), options: options) } catch { throw cannotWrite(path) }
  }

  private static func cannotWrite(_ path: String) -> Exit { Exit(status: 73, message: "cannot write '\(path)'") }
}

/// Numbers of bytes as people write them.
enum ByteCount {
  /// `64M` is 64 MiB; K, M and G in either case. `nil` for anything else, or too much.
  static func parse(_ text: String) -> Int? {
    let shifts: [Character: Int] = ["k": 10, "m": 20, "g": 30]
    guard let last = text.last else { return nil }
    let shift = shifts[Character(last.lowercased())]
    let digits = shift == nil ? Substring(text) : text.dropLast()
    guard digits.allSatisfy(\.isNumber), let number = Int(digits) else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
    return overflow ? nil : bytes
  }
}

/// The limit on this process's address space (`ulimit -v`).
enum AddressSpace {
  /// In bytes; `nil`: none.
  static var limit: UInt64? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur != .max else { return nil }
    return UInt64(limit.rlim_cur)
  }

  /// Refuses a run that would have to end in the middle: books, heaps and the stacks of threads need room. Libdispatch would wait
  /// for ever for the threads that it cannot make.
  static func check(threads: Int) throws {
    let needed = 3 << 30 + UInt64(threads) << 24
    guard let limit, limit < needed else { return }
    let (there, wanted) = (limit >> 20, needed >> 20)
    throw Exit(
      status: 69, message: "the address space is limited to \(there) MiB (ulimit -v); the run needs \(wanted) MiB")
  }
}
