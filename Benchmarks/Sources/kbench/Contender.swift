import Foundation

/// An allocator that takes part, and how its worker is started.
struct Contender: Equatable {
  let name: String
  /// The argument of the worker: which of its allocators.
  let allocator: String
  /// A library that is loaded before the C library, so that its `malloc` is the one.
  var library: String?
  /// KAlloc's are compared with their peers.
  var isPeer = false

  static let inlined = Contender(name: "kalloc inlined", allocator: "inlined")
  static let called = Contender(name: "kalloc called", allocator: "called")
  static let preloaded = Contender(name: "libkalloc.so", allocator: "malloc", library: "build/libkalloc.so")
  static let hardened = Contender(
    name: "libkalloc-hardened.so", allocator: "malloc", library: "build/libkalloc-hardened.so")
  static let glibc = Contender(name: "glibc", allocator: "malloc", isPeer: true)
  /// Vectors and boxes; their workloads are others.
  static let collections = [
    Contender(name: "KVec, KBox", allocator: "boxed"),
    Contender(name: "Array, class", allocator: "standard", isPeer: true),
    Contender(name: "UniqueArray", allocator: "unique", isPeer: true),
  ]

  private static let peers = [
    ("jemalloc", "libjemalloc.so.2"),
    ("mimalloc", "libmimalloc.so.2.0"),
    ("tcmalloc", "libtcmalloc_minimal.so.4"),
  ]

  /// Those that can run here, and why others cannot. Peers are what `make bootstrap-bench` installs. No target is about the
  /// hardened library: it is there for its price.
  static func present(withPeers: Bool, hardened withHardened: Bool) -> (contenders: [Contender], missing: [String]) {
    var contenders = [inlined, called]
    var missing: [String] = []
    for var own in withHardened ? [preloaded, hardened] : [preloaded] {
      own.library = own.library.map { Program.root.appendingPathComponent($0).path }
      if FileManager.default.fileExists(atPath: own.library ?? "") {
        contenders.append(own)
      } else {
        missing.append("\(own.name) is left out: 'make malloc' builds it")
      }
    }
    contenders.append(glibc)
    let machines = ["/x86_64-linux-gnu", "/aarch64-linux-gnu", ""]
    let folders = machines.map { "/usr/lib\($0)" } + ["/usr/lib64", "/usr/local/lib"]
    for (name, file) in withPeers ? peers : [] {
      if let folder = folders.first(where: { FileManager.default.fileExists(atPath: "\($0)/\(file)") }) {
        contenders.append(Contender(name: name, allocator: "malloc", library: "\(folder)/\(file)", isPeer: true))
      } else {
        missing.append("\(name) is left out: 'make bootstrap-bench' installs it")
      }
    }
    return (contenders + collections, missing)
  }
}

/// Where things are.
enum Program {
  /// The folder of this program and of the workers.
  static var folder: URL {
    URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
  }
  /// The repository: this program is at Benchmarks/.build/MACHINE/release/kbench.
  static var root: URL { URL(fileURLWithPath: "../../../..", relativeTo: folder).standardizedFileURL }

  /// What a program prints, run to its end.
  static func output(
    _ program: URL, _ arguments: [String], preloading library: String? = nil, environment more: [String: String] = [:]
  ) throws -> Data {
    let process = Process()
    let output = Pipe()
    process.executableURL = program
    process.arguments = arguments
    process.standardOutput = output
    process.environment = environment(preloading: library).merging(more) { $1 }
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(description: "\(program.lastPathComponent) \(arguments.joined(separator: " ")) failed")
    }
    return data
  }

  static func environment(preloading library: String?) -> [String: String] {
    let own = ProcessInfo.processInfo.environment
    return library.map { own.merging(["LD_PRELOAD": $0]) { $1 } } ?? own
  }
}

/// What went wrong, as one line.
struct Failure: Error, CustomStringConvertible {
  let description: String
}
