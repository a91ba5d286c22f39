/// The number of a frame in a region.
///
/// Frame 0 begins at the region's first address rounded down to a block, so a frame number that is a multiple of a
/// power of two up to 512 is an address that is a multiple of as many frames. One word wide.
public struct FrameIndex: Hashable, Comparable, Sendable {
  public let rawValue: Int

  @inlinable @inline(__always)
  public init(_ rawValue: Int) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  public static func < (left: FrameIndex, right: FrameIndex) -> Bool { left.rawValue < right.rawValue }

  /// The frame `frames` further on.
  @inlinable @inline(__always)
  public func advanced(by frames: Int) -> FrameIndex { FrameIndex(rawValue + frames) }

  /// The other half of the run of `order + 1` that this run of `order` is a half of.
  @inlinable @inline(__always)
  public func buddy(_ order: Order) -> FrameIndex { FrameIndex(rawValue ^ order.frames) }
}

/// The binary logarithm of a run's length: order 3 is 8 frames, aligned to 8 frames. One word wide.
public struct Order: Hashable, Comparable, Sendable {
  public let rawValue: Int

  @inlinable @inline(__always)
  public init(_ rawValue: Int) { self.rawValue = rawValue }

  /// The lowest order whose run holds `frames` frames aligned to `alignment` frames; nil where there is none.
  ///
  /// Pure, so that a block freed with the size and alignment it was asked for has the order it was given.
  /// - Parameters:
  ///   - frames: 0 or more; 0 counts as 1.
  ///   - alignment: in frames, a power of two.
  @inlinable
  public init?(covering frames: Int, alignment: Int = 1) {
    guard frames >= 0, alignment >= 1, alignment & (alignment - 1) == 0 else { return nil }
    let span = Swift.max(frames, alignment, 1)
    guard span <= 1 << 62 else { return nil }
    self.init(Int.bitWidth - (span - 1).leadingZeroBitCount)
  }

  @inlinable @inline(__always)
  public var frames: Int { 1 << rawValue }

  @inlinable @inline(__always)
  public static func < (left: Order, right: Order) -> Bool { left.rawValue < right.rawValue }
}

/// The sizes that the three levels of the page allocator are built from.
public enum Frames {
  /// Frames whose bits share a word: the most that one compare-exchange takes.
  public static let perRow = 64
  /// Frames whose bits share a cache line: 2 MiB of 4 KiB frames, one large page of the processor.
  public static let perBlock = 512
  public static let rowsPerBlock = 8
  /// Blocks whose hints share a word.
  public static let blocksPerTree = 64
  /// A frame of 4 KiB.
  public static let usualShift = 12
}

/// Frames of one row that a caller owns: bit i of `mask` is the frame `first + i`.
public struct FrameRun: Equatable, Sendable {
  /// The first frame of the row, owned or not.
  public let first: FrameIndex
  public let mask: UInt64

  @inlinable @inline(__always)
  public init(first: FrameIndex, mask: UInt64) {
    self.first = first
    self.mask = mask
  }

  @inlinable @inline(__always)
  public var frames: Int { mask.nonzeroBitCount }
}
