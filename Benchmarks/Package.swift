// swift-tools-version: 6.2
import PackageDescription

let core: Target.Dependency = .product(name: "Slab", package: "kalloc")

let package = Package(
  name: "kalloc-benchmarks",
  dependencies: [
    .package(name: "kalloc", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
  ],
  targets: [
    // What Swift lacks for measuring: an opaque use of a pointer, a clock, a ring, the memory map.
    .target(name: "CBench"),
    // Allocators behind a call that no optimiser looks through: a module of its own. At cache lines: a function of 17 instructions that
    // crosses one takes a quarter longer, and where it came to lie changed with whatever was linked before it.
    .target(
      name: "CalledAllocator", dependencies: [core],
      swiftSettings: [.unsafeFlags(["-Xllvm", "-align-all-functions=6"])]),
    // Runs workloads on one allocator; small, so that a process of it is little but the allocator.
    .executableTarget(
      name: "kbench-worker",
      dependencies: [
        "CBench", "CalledAllocator", core,
        .product(name: "KBoxed", package: "kalloc"),
        .product(name: "BasicContainers", package: "swift-collections"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ]),
    // Starts a worker for each contender, interleaves them, and reports.
    .executableTarget(
      name: "kbench",
      dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
    // What a program took, for the family `programs`. C throughout: a process of it is small.
    .executableTarget(name: "kmeasure"),
    // The hit paths as functions of their own, to be disassembled by Scripts/check-instructions.
    .executableTarget(
      name: "kprobe",
      dependencies: [core, .product(name: "KAlloc", package: "kalloc"), .product(name: "KBoxed", package: "kalloc")]),
    // Why an array of pointers: the ways to keep a CPU's free objects, side by side. C throughout.
    .executableTarget(name: "kfrontends"),
    // How much memory the allocator takes, for Scripts/check-memory.
    .executableTarget(name: "kfootprint", dependencies: ["CBench", core]),
  ]
)
