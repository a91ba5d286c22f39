@_spi(Proof) import Slab

/// Whether a path does what it is named for: how much a stack holds changes, and what once filled it may no longer do so.
extension Path {
  /// Does the operation once, in a heap of its own, and throws where that is not what the path is named for.
  func rehearse(_ mode: BindingMode) throws {
    if raises.isEmpty { return }
    let preparation = try Preparation(self, mode: mode)
    try prepare(preparation)
    let before = preparation.heap.statistics()
    operate(preparation.operand)
    try expectRaised(before, preparation.heap.statistics(), mode)
  }

  func expectRaised(_ before: HeapStatistics, _ after: HeapStatistics, _ mode: BindingMode) throws {
    if mode == .shared { return }
    for (index, count) in raises.enumerated() where count(after) <= count(before) {
      throw Exit.failed(
        "\(name): does not do what it is named for in \(mode) mode: "
          + "count \(index + 1) goes from \(count(before)) to \(count(after))")
    }
  }
}
