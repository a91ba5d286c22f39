/// The allocators that a command line can name.
enum AllocatorName: String, CaseIterable, Sendable {
  case system

  /// What is used where none is named.
  static var fallback: Self { .system }
  static var listed: String { allCases.map(\.rawValue).joined(separator: " or ") }

  var summary: String {
    switch self {
    case .system: "the C library's malloc"
    }
  }

  /// Makes the allocator that the options describe and hands it to `body`.
  func open<Result>(_ options: RunOptions, _ body: (any AllocatorUnderTest) throws -> Result) throws -> Result {
    switch self {
    case .system: try body(SystemLibraryAllocator())
    }
  }
}
