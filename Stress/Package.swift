// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that whoever depends on the library fetches none of the tools' dependencies.
let package = Package(
  name: "kstress",
  products: [.executable(name: "kstress", targets: ["kstress"])],
  dependencies: [
    .package(name: "kalloc", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
  ],
  targets: [
    .target(name: "CStress"),
    .target(
      name: "StressKit",
      dependencies: [
        "CStress",
        .product(name: "Slab", package: "kalloc"),
        .product(name: "KBoxed", package: "kalloc"),
        .product(name: "KAlloc", package: "kalloc"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ]),
    .executableTarget(name: "kstress", dependencies: ["StressKit"]),
    .testTarget(
      name: "StressKitTests", dependencies: ["StressKit", "CStress", .product(name: "Slab", package: "kalloc")]),
  ]
)
