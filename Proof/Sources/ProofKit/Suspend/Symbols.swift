import CProof
import Foundation

/// The functions of this program, from its ELF symbol table.
struct Symbols {
  struct Function {
    let start: UInt64
    let end: UInt64
    /// Short and readable.
    let name: String
    /// Whether it is one of the proof's own, which stands in C.
    let isProof: Bool
  }

  /// The sources of CProof.
  private static let proofFiles: Set = ["broken.c", "events.c", "park.c", "process.c", "trace.c", "workload.c"]

  private var functions: [Function] = []

  init() throws {
    let file = try Data(contentsOf: URL(fileURLWithPath: "/proc/self/exe"), options: .alwaysMapped)
    func read<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
      file.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }
    let bias = cp_load_bias()
    let sections = Int(read(40, as: UInt64.self))
    for index in 0..<Int(read(60, as: UInt16.self)) {
      let header = sections + index * 64
      guard read(header + 4, as: UInt32.self) == 2 else { continue }  // SHT_SYMTAB
      let table = Int(read(header + 24, as: UInt64.self))
      let count = Int(read(header + 32, as: UInt64.self)) / 24
      let names = Int(read(sections + Int(read(header + 40, as: UInt32.self)) * 64 + 24, as: UInt64.self))
      func string(_ symbol: Int) -> String {
        file.withUnsafeBytes {
          String(
            cString: $0.baseAddress!.advanced(by: names + Int(read(symbol, as: UInt32.self)))
              .assumingMemoryBound(to: CChar.self))
        }
      }
      // Local symbols follow the name of the file that they are from.
      var isProofFile = false
      for symbol in stride(from: table, to: table + count * 24, by: 24) {
        let kind = file[symbol + 4] & 15
        if kind == 4 { isProofFile = Symbols.proofFiles.contains(string(symbol)) }  // STT_FILE
        let bytes = read(symbol + 16, as: UInt64.self)
        guard kind == 2, bytes > 0 else { continue }  // STT_FUNC
        let start = read(symbol + 8, as: UInt64.self) + bias
        let name = string(symbol)
        let isLocal = file[symbol + 4] >> 4 == 0
        functions.append(
          Function(
            start: start, end: start + bytes, name: Symbols.readable(name),
            isProof: name.hasPrefix("cp_") || isLocal && isProofFile))
      }
    }
    functions.sort { $0.start < $1.start }
  }

  /// The function that an address lies in; `nil`: none of this program's.
  func function(at address: UInt64) -> Function? {
    var low = 0
    var high = functions.count
    while low < high {
      let middle = (low + high) / 2
      if functions[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < functions[low - 1].end else { return nil }
    return functions[low - 1]
  }

  /// Whether the allocator's code is there, and not the proof's or the C library's.
  func isAllocator(_ address: UInt64) -> Bool { function(at: address).map { !$0.isProof } ?? false }

  /// `Function + offset`.
  func describe(_ address: UInt64) -> String {
    function(at: address).map { "\($0.name)+\(address - $0.start)" } ?? "0x" + String(address, radix: 16)
  }

  /// The name without modules, arguments and how the compiler specialised it. What is inlined into an operation of a path is
  /// the hit path.
  private static func readable(_ mangled: String) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    guard cp_demangle(mangled, &buffer, buffer.count) else { return mangled }
    var name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if name.contains("ProofKit.Path") { return "hit path, inlined" }
    if let original = name.range(of: "> of ", options: .backwards) { name = String(name[original.upperBound...]) }
    name = name.replacingOccurrences(of: "Slab.", with: "").replacingOccurrences(of: "static ", with: "")
    if let discriminator = name.range(of: #"\(([^ ()]*) in _[0-9A-F]*\)"#, options: .regularExpression) {
      name.replaceSubrange(discriminator, with: name[discriminator].dropFirst().prefix { $0 != " " })
    }
    name = name.replacingOccurrences(of: "(extension in Slab):", with: "")
    return String(name.prefix { $0 != "(" && $0 != "<" }).trimmingCharacters(in: .whitespaces)
  }
}
