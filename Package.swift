// swift-tools-version: 6.2
import PackageDescription

/// Everything the four modules have in common: strict memory safety, no construct that Embedded Swift lacks,
/// and, with the trait `Embedded`, Embedded Swift itself.
let core: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatWarning("EmbeddedRestrictions", as: .error),
  .enableExperimentalFeature("Lifetimes"),
  .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])),
  .define("NUMA", .when(platforms: [.linux], traits: ["NUMA"])),
]

let package = Package(
  name: "kalloc",
  products: [
    .library(name: "KAlloc", targets: ["KAlloc"]),
    .library(name: "KBoxed", targets: ["KBoxed"]),
    .library(name: "Slab", targets: ["Slab"]),
  ],
  traits: [
    .trait(name: "NUMA", description: "Read the machine's NUMA topology through libnuma (Linux)."),
    .trait(name: "Embedded", description: "Build the four modules as Embedded Swift."),
    .default(enabledTraits: ["NUMA"]),
  ],
  targets: [
    .target(
      name: "KAllocAtomics",
      dependencies: [.target(name: "CNUMA", condition: .when(platforms: [.linux], traits: ["NUMA"]))],
      cSettings: [.define("KA_NUMA", .when(platforms: [.linux], traits: ["NUMA"]))]),
    .systemLibrary(name: "CNUMA", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .target(
      name: "Slab",
      dependencies: ["KAllocAtomics"],
      swiftSettings: core),
    .target(name: "KAlloc", dependencies: ["Slab", "KAllocAtomics"], swiftSettings: core),
    .target(name: "KBoxed", dependencies: ["KAlloc"], swiftSettings: core),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .testTarget(name: "TestSupport", dependencies: ["Slab", "KAllocAtomics", "CTestSupport"]),
    .testTarget(name: "SlabTests", dependencies: ["Slab", "KAllocAtomics", "TestSupport", "CTestSupport"]),
    .testTarget(name: "PromiseTests", dependencies: ["Slab", "KAllocAtomics", "TestSupport", "CTestSupport"]),
    .testTarget(name: "PagesTests", dependencies: ["Slab", "KAllocAtomics", "TestSupport"]),
    .testTarget(name: "AllocatorTesting", dependencies: ["KAlloc"]),
    .testTarget(name: "KAllocTests", dependencies: ["KAlloc", "AllocatorTesting"]),
    .testTarget(name: "KBoxedTests", dependencies: ["KBoxed", "AllocatorTesting"]),
  ]
)
