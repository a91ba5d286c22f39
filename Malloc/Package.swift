// swift-tools-version: 6.2
import PackageDescription

/// The malloc replacement: Embedded Swift throughout, so that nothing of it needs Swift's runtime. `make malloc` links the
/// objects of this package into shared libraries and an archive; see `Malloc/link`.
let embedded: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableExperimentalFeature("Embedded"),
  .enableExperimentalFeature("Lifetimes"),
  .define("HARDENED", .when(traits: ["Hardened"])),
  // At cache lines: one of the short entries that crosses one takes a quarter longer, and where they lie changes with what is linked.
  .unsafeFlags(["-Xllvm", "-align-all-functions=6"]),
]

let package = Package(
  name: "kalloc-malloc",
  products: [.library(name: "KMalloc", type: .static, targets: ["KMalloc"])],
  traits: [.trait(name: "Hardened", description: "Canaries, quarantine, zeroing, guard pages and random order.")],
  dependencies: [.package(name: "kalloc", path: "..", traits: ["Embedded"])],
  targets: [
    .target(name: "CMalloc"),
    .target(
      name: "KMalloc", dependencies: ["CMalloc", .product(name: "Slab", package: "kalloc")], swiftSettings: embedded),
  ],
  cxxLanguageStandard: .cxx17
)
