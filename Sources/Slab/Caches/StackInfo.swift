/// Which stack of a CPU region: one for each size class, one for each small page order, then one for each length of large blocks.
/// One word wide.
@usableFromInline
struct StackIndex: Equatable, Sendable {
  let rawValue: Int

  /// Page orders that have a stack: 0 ..< pageOrders.
  @inlinable @inline(__always) static var pageOrders: Int { 4 }
  /// Stacks that have a depot, and with several nodes outgoing ones: those of classes and orders. Of large blocks what a CPU's stack
  /// has no room for goes back to the page level, and to another node at once.
  static var withDepot: Int { SizeClass.count + pageOrders }
  static var count: Int { withDepot + RunClass.count }

  init(rawValue: Int) { self.rawValue = rawValue }
  init(_ sizeClass: SizeClass) { rawValue = sizeClass.index }
  init(pageOrder: Int) { rawValue = SizeClass.count &+ pageOrder }
  init(_ runClass: RunClass) { rawValue = StackIndex.withDepot &+ runClass.index }

  /// What stands in the owner byte of the first frame of pages of `order`: the number of their stack, or of the last one for orders
  /// without a stack, + 1.
  static func owner(ofPages order: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: StackIndex(pageOrder: min(order, pageOrders &- 1)).rawValue &+ 1)
  }

  var hasDepot: Bool { rawValue < StackIndex.withDepot }

  /// The class of the objects on it; `nil`: it holds pages or large blocks.
  var sizeClass: SizeClass? { rawValue < SizeClass.count ? SizeClass(index: rawValue) : nil }
  /// The length of the large blocks on it; `nil`: it holds objects or pages.
  var runClass: RunClass? {
    let index = rawValue &- StackIndex.withDepot
    return index >= 0 ? RunClass(index: index) : nil
  }
  /// The order of the pages on it. Only where the two others are `nil`.
  var pageOrder: Int { rawValue &- SizeClass.count }
}

/// Everything about a stack that is the same on every CPU and in every heap. Computed once per heap, then only read.
struct StackInfo {
  let stack: StackIndex
  let slab: SlabGeometry
  /// Bytes in the object or page that a pointer on this stack stands for.
  let objectBytes: Int
  /// N, the pointers that move between the stack and the depot at once.
  let batch: Int
  /// The byte in a CPU region at which the array begins.
  let arrayOffset: Int
  /// The bytes of one magazine each of the stacks before this one that have a depot: its place among the first magazines, which
  /// lie side by side, and, times the others' number, that of its others behind them. A small program touches a few pages so, and
  /// not one for each class.
  let magazinesBefore: Int

  /// The pointers that the array holds: what a program has of one class at a time, so that it seldom visits the depot, and two
  /// magazines at least, so that N operations lie between two visits whatever the pattern (Bonwick and Adams, "Magazines and
  /// Vmem", 2001). Of objects as many as 512 KiB hold: up to 8192 of a cache line or less, of which programs have most, and 512
  /// of larger ones. Large blocks are few: 512 KiB of each length, 4 at most, as many as a compressor of the zlib kind has, and
  /// one at least: what lies there is missing to other lengths until one of them would take pages that were never touched.
  var capacity: Int {
    let room = StackInfo.stackBytes / objectBytes
    if stack.runClass != nil { return min(max(room, 1), StackInfo.runStackCount) }
    if stack.sizeClass == nil { return batch &* 2 }
    return min(room, objectBytes <= 64 ? StackInfo.smallStackCount : StackInfo.stackCount)
  }

  /// Bytes of objects in a magazine: beyond that a CPU holds too much back.
  static let magazineBytes = 16384
  /// Objects in a magazine all the same, where they are not more than `largeMagazineBytes`: with fewer, large objects
  /// would visit the depot all the time.
  static let largeMagazineCount = 16
  static let largeMagazineBytes = 131_072
  static let stackBytes = 524_288
  static let smallStackCount = 8192
  static let stackCount = 512
  static let runStackCount = 4
  /// Bytes of pages in a magazine: a page that goes back to its row costs several locked instructions, so few should.
  static let pageMagazineBytes = 1_048_576
  static let minimumBatch = 2
  static let maximumBatch = 256
  /// Magazines in a depot.
  static let depotSlots = 32
  /// Pointers that a stack holds when it opens; it doubles at each visit to the depot.
  static let firstCapacity = 16

  /// A magazine in the depot: the count, then the pointers.
  var magazineBytes: Int { (1 &+ batch) &* 8 }

  /// The bytes of one magazine each of the stacks up to this one.
  var magazinesThrough: Int { magazinesBefore + (stack.hasDepot ? magazineBytes : 0) }

  /// N for objects of so many bytes, of which a magazine should have at most `limit`.
  private static func batch(_ bytes: Int, limit: Int) -> Int {
    let few = min(largeMagazineBytes / bytes, largeMagazineCount)
    return min(max(limit / bytes, few, minimumBatch), maximumBatch)
  }

  /// The info of `stack`, which stands behind `previous` in the region and in the depots.
  init(_ stack: StackIndex, after previous: StackInfo?) {
    self.stack = stack
    slab = SlabGeometry(stack.sizeClass ?? SizeClass(index: 0))
    if let sizeClass = stack.sizeClass {
      objectBytes = sizeClass.bytes
      batch = StackInfo.batch(sizeClass.bytes, limit: StackInfo.magazineBytes)
    } else if let runClass = stack.runClass {
      objectBytes = runClass.frames &<< Frames.usualShift
      batch = 1
    } else {
      objectBytes = Frames.bytes << stack.pageOrder
      batch = StackInfo.batch(objectBytes, limit: StackInfo.pageMagazineBytes)
    }
    if let previous {
      arrayOffset = previous.arrayOffset + previous.capacity * 8
      magazinesBefore = previous.magazinesThrough
    } else {
      arrayOffset = CPURegion.arraysOffset
      magazinesBefore = 0
    }
  }
}
