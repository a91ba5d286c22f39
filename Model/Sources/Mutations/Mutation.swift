// Seeded faults: what the model checker and the sanitizers must find.
//
// The shipped sources hold none of them. `kmodel mutate DIR` writes a copy of Sources/Slab in which each place below asks
// `mutant(n)` which of two texts is meant, so that one build has all faults, one at a time switched on by
// `--mutation n`, and with none on it is the shipped program. Scripts/model builds it and runs them. With `--environment` the copy
// is one for a build of the library, in which KALLOC_FAULT=n switches one on: Scripts/test-sanitizer.

/// One fault.
public struct Mutation: Sendable {
  public let number: UInt32
  /// What is wrong.
  public let summary: String
  public let file: String
  /// The scenarios that are to find it, tried in this order; none where only AddressSanitizer can.
  public let scenarios: [String]
  /// Texts of the file, each of which occurs there once, and what stands in their place.
  public let edits: [(old: String, new: String)]

  init(
    _ number: UInt32, _ summary: String, _ file: String, _ scenarios: [String], _ edits: (old: String, new: String)...
  ) {
    self.number = number
    self.summary = summary
    self.file = file
    self.scenarios = scenarios
    self.edits = edits
  }
}

/// The file that the mutated copy has in addition.
public let mutantFile = """
  import KAllocAtomics

  @inline(__always)
  func mutant(_ number: UInt32) -> Bool { km_is_mutation(number) }

  """

/// The same in a build of the library.
public let environmentMutantFile = """
  import Glibc

  private let seededFault = unsafe getenv("KALLOC_FAULT").map { unsafe UInt32(bitPattern: atoi($0)) } ?? 0

  func mutant(_ number: UInt32) -> Bool { seededFault == number }

  """

public enum MutationFault: Error, CustomStringConvertible {
  /// The text to be changed is not in the file, or is there more than once.
  case misfit(UInt32, String)

  public var description: String {
    switch self {
    case .misfit(let number, let text): "mutation \(number): this text does not occur once in its file: \(text)"
    }
  }
}

/// `source` with the edits of those mutations that are of `file`.
public func mutated(_ source: String, file: String) throws -> String {
  var result = source
  for mutation in allMutations where mutation.file == file {
    for edit in mutation.edits {
      guard result.components(of: edit.old) == 1 else { throw MutationFault.misfit(mutation.number, edit.old) }
      result = result.replacing(edit.old, with: edit.new)
    }
  }
  return result
}

extension String {
  /// How often `text` occurs.
  fileprivate func components(of text: String) -> Int { ranges(of: text).count }
}
