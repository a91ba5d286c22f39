// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that whoever depends on the library fetches none of the tools' dependencies.
let package = Package(
  name: "kproof",
  products: [
    .executable(name: "kproof", targets: ["kproof"]), .executable(name: "kproof-malloc", targets: ["kproof-malloc"]),
  ],
  dependencies: [
    .package(name: "kalloc", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
  ],
  targets: [
    // What Swift lacks: fork, ptrace, timers of one thread, barriers, and the workloads that every allocator runs.
    .target(name: "CProof"),
    .target(
      name: "ProofKit",
      dependencies: [
        "CProof",
        .product(name: "Slab", package: "kalloc"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(name: "kproof", dependencies: ["ProofKit"]),
    // The same workloads over malloc and free, for whichever library is preloaded. C throughout.
    .executableTarget(name: "kproof-malloc", dependencies: ["CProof"]),
  ]
)
