// swift-tools-version: 6.2
import PackageDescription

// The model checker, a package of its own because it needs unsafe flags. `Slab` is the shipped directory (Sources/Slab is
// a link to it), compiled over the simulated KAllocAtomics of this package. With KMODEL_SLAB=DIR in the environment it is
// another copy of the sources: the one with seeded faults that `kmodel mutate` makes.

/// Slab as it ships, but that every plain access calls a function (`-sanitize=thread` without its runtime), that
/// scenarios may use what is internal, and that a thread's stack may be left in the middle of an access.
let instrumented: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .unsafeFlags([
    "-sanitize=thread", "-Xllvm", "-tsan-instrument-func-entry-exit=0", "-enable-testing",
    "-enforce-exclusivity=unchecked",
  ]),
]

// One real thread: what Swift 6 checks of concurrency does not apply to the explorer and its scenarios.
let engine: [SwiftSetting] = [
  .swiftLanguageMode(.v5), .unsafeFlags(["-enforce-exclusivity=unchecked", "-enable-testing"]),
]

let package = Package(
  name: "kmodel",
  products: [.executable(name: "kmodel", targets: ["kmodel"])],
  targets: [
    .target(name: "KAllocAtomics"),
    .target(
      name: "Slab", dependencies: ["KAllocAtomics"], path: Context.environment["KMODEL_SLAB"] ?? "Sources/Slab",
      swiftSettings: instrumented),
    .target(name: "Explorer", dependencies: ["KAllocAtomics"], swiftSettings: engine),
    .target(name: "Scenarios", dependencies: ["Explorer", "Slab", "KAllocAtomics"], swiftSettings: engine),
    .target(name: "Mutations"),
    .executableTarget(
      name: "kmodel", dependencies: ["Mutations", "Explorer", "Scenarios", "KAllocAtomics"], swiftSettings: engine),
    .testTarget(name: "ExplorerTests", dependencies: ["Mutations", "Explorer", "Scenarios", "KAllocAtomics"]),
  ]
)
