// Why every owning type here has a field that holds nothing.
//
// The layout of a type that stores a generic allocator is worked out at run time. Swift 6.3's runtime then looks at the
// fields only: if all are plain bytes, as a pointer and an empty struct are, it takes the whole type for plain bytes
// and replaces its destroy witness by one that does nothing, although the type has a `deinit`. Code that destroys
// through the witness (generic code, optionals in another module, debug builds) would then leak. A field with a
// `deinit` of its own makes the type what it is. Fixed in later runtimes by swiftlang/swift pull request 89686.

/// A field of no bytes that is not plain bytes.
///
/// It makes the `deinit` of the type around it run also where the runtime decides. It can go when the oldest supported
/// toolchain has the fix; `a box ends its value wherever it is kept` says whether.
@usableFromInline
struct DeinitAnchor: ~Copyable {
  @inlinable @inline(__always)
  init() {}

  @inlinable @inline(__always)
  deinit {}
}
