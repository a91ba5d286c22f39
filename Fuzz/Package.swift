// swift-tools-version: 6.2
import PackageDescription

// A package of its own: it is built with AddressSanitizer and coverage, and linked with libFuzzer, which `Fuzz/fuzz` asks for
// on the command line.
let package = Package(
  name: "kfuzz",
  dependencies: [.package(name: "kalloc", path: "..")],
  targets: [
    .executableTarget(
      name: "kfuzz",
      dependencies: [
        .product(name: "Slab", package: "kalloc"),
        .product(name: "KAlloc", package: "kalloc"),
        .product(name: "KBoxed", package: "kalloc"),
      ])
  ]
)
