import Foundation

/// An allocator that takes part, and how its worker is started.
struct Contender {
  let name: String
  /// The argument of the worker: which of its allocators.
  let allocator: String
  /// A library that is loaded before the C library, so that its `malloc` is the one.
  var library: String?

  static let inlined = Contender(name: "kalloc inlined", allocator: "inlined")
  static let called = Contender(name: "kalloc called", allocator: "called")
  static let glibc = Contender(name: "glibc", allocator: "malloc")

  /// The peers that `make bootstrap-bench` installs, where they are installed.
  static var installedPeers: [Contender] {
    let libraries = [
      ("jemalloc", "libjemalloc.so.2"),
      ("mimalloc", "libmimalloc.so.2"),
      ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ]
    let machines = ["/x86_64-linux-gnu", "/aarch64-linux-gnu", ""]
    let folders = machines.map { "/usr/lib\($0)" } + ["/usr/lib64", "/usr/local/lib"]
    return libraries.compactMap { name, file in
      folders.map { "\($0)/\(file)" }.first(where: FileManager.default.fileExists(atPath:))
        .map { Contender(name: name, allocator: "malloc", library: $0) }
    }
  }
}

/// What went wrong, as one line.
struct Failure: Error, CustomStringConvertible {
  let description: String
}

/// A worker process of one contender. It waits, using no CPU, between the requests.
final class Worker {
  let contender: Contender
  private let process = Process()
  private let requests = Pipe()
  private let answers = Pipe()
  private var unread = Data()

  init(_ contender: Contender) throws {
    self.contender = contender
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.executableURL = own.deletingLastPathComponent().appendingPathComponent("kbench-worker")
    process.arguments = [contender.allocator]
    process.standardInput = requests
    process.standardOutput = answers
    if let library = contender.library {
      process.environment = ProcessInfo.processInfo.environment.merging(["LD_PRELOAD": library]) { $1 }
    }
    try process.run()
    let loaded = try answer()
    if let library = contender.library {
      let wanted = URL(fileURLWithPath: library).resolvingSymlinksInPath().path
      guard URL(fileURLWithPath: loaded).resolvingSymlinksInPath().path == wanted else {
        throw Failure(description: "\(contender.name): malloc comes from \(loaded), not from \(library)")
      }
    }
  }

  /// Nanoseconds per operation over about `milliseconds` of the workload.
  func run(_ workload: String, milliseconds: Int) throws -> Double {
    try requests.fileHandleForWriting.write(contentsOf: Data("\(workload) \(milliseconds)\n".utf8))
    let words = try answer().split(separator: " ")
    guard words.count == 2, let nanoseconds = Double(words[0]), let operations = Double(words[1]), operations > 0 else {
      throw Failure(description: "\(contender.name): no figure for \(workload)")
    }
    return nanoseconds / operations
  }

  func end() {
    try? requests.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  private func answer() throws -> String {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: unread[..<end], as: UTF8.self)
        unread.removeSubrange(...end)
        return line
      }
      let more = answers.fileHandleForReading.availableData
      guard !more.isEmpty else { throw Failure(description: "the worker of \(contender.name) ended") }
      unread.append(more)
    }
  }
}
