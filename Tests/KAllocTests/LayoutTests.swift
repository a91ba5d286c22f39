import KAlloc
import Testing

private struct NineBytes {
  var word: Int64
  var byte: Int8
}

private struct Empty {}

private func error(of body: () throws(LayoutError) -> Void) -> LayoutError? {
  do {
    try body()
    return nil
  } catch {
    return error
  }
}

@Suite struct LayoutTests {
  @Test func `a layout exists if and only if its size, rounded up to its alignment, fits in an Int`() {
    for shift in 0...62 {
      let alignment = 1 << shift
      let edge = UInt(Int.max) + 1 - UInt(alignment)
      for offset in -10...10 {
        let size = Int128(edge) + Int128(offset)
        guard size >= 0 && size <= Int128(Int.max) else { continue }
        let rounded = (size + Int128(alignment) - 1) / Int128(alignment) * Int128(alignment)
        let expected: LayoutError? = rounded <= Int128(Int.max) ? nil : .overflow
        #expect(error { () throws(LayoutError) in _ = try Layout(size: Int(size), alignment: alignment) } == expected)
      }
    }
  }

  @Test(arguments: [0, -1, 3, 6, 12, Int.max, Int.min])
  func `an alignment that is no power of two is refused`(alignment: Int) throws {
    #expect(throws: LayoutError.invalidAlignment) { try Layout(size: 0, alignment: alignment) }
    #expect(throws: LayoutError.invalidAlignment) { try Layout(size: 8, alignment: 8).raising(alignment: alignment) }
    #expect(throws: LayoutError.invalidAlignment) { try Layout(size: 8, alignment: 8).padding(for: alignment) }
  }

  @Test func `a negative size or count is refused`() {
    #expect(throws: LayoutError.negativeSize) { try Layout(size: -1, alignment: 1) }
    #expect(throws: LayoutError.negativeSize) { try Layout.array(of: Int.self, count: -1) }
    #expect(throws: LayoutError.negativeSize) { try Layout.array(of: Empty.self, count: -1) }
    #expect(throws: LayoutError.negativeSize) { try ArrayLayout<Int>(count: -1) }
    #expect(throws: LayoutError.negativeSize) { try Layout(size: 1, alignment: 1).repeat(-1) }
    #expect(throws: LayoutError.negativeSize) { try Layout(size: 1, alignment: 1).repeatPacked(-1) }
  }

  @Test func `a size may be smaller than the alignment, and zero at every alignment`() throws {
    #expect(try Layout(size: 3, alignment: 64).size == 3)
    #expect(try Layout(size: 0, alignment: 1 << 62).alignment == 1 << 62)
  }

  @Test(arguments: [8, 84, 85])
  func `an array ends where its strides no longer fit`(stride: Int) throws {
    func check<Element>(_ type: Element.Type) throws {
      #expect(MemoryLayout<Element>.stride == stride)
      let most = Int.max / stride
      let fits = Layout.largestFit(most, of: type)
      for count in [0, 1, fits - 1, fits] {
        #expect(try Layout.array(of: type, count: count).size == count * stride)
        #expect(try ArrayLayout<Element>(count: count).count == count)
      }
      for count in [fits + 1, most + 1, Int.max - 1, Int.max] {
        #expect(throws: LayoutError.overflow) { try Layout.array(of: type, count: count) }
        #expect(throws: LayoutError.overflow) { try ArrayLayout<Element>(count: count) }
      }
    }
    switch stride {
    case 8: try check(Int64.self)
    case 84: try check(InlineArray<21, Int32>.self)
    default: try check(InlineArray<85, Int8>.self)
    }
  }

  @Test func `an array of a type without size takes nothing, however long`() throws {
    #expect(try Layout.array(of: Empty.self, count: .max) == Layout(size: 0, alignment: 1))
    #expect(try ArrayLayout<Empty>(count: .max).size == 0)
    #expect(try ArrayLayout<Empty>(count: .max).count == .max)
  }

  @Test func `extending puts fields where C puts them`() throws {
    let sizes = [8, 4, 2, 4]
    var layout = try Layout(size: 0, alignment: 1)
    var offsets: [Int] = []
    for size in sizes {
      let (next, offset) = try layout.extend(Layout(size: size, alignment: size))
      layout = next
      offsets.append(offset)
    }
    #expect(offsets == [0, 8, 12, 16])
    #expect(layout.size == 20)
    #expect(try layout.padToAlignment() == Layout(size: 24, alignment: 8))
  }

  @Test func `extending packed ignores the alignment of what follows`() throws {
    let (layout, offset) = try Layout(size: 3, alignment: 2).extendPacked(Layout(size: 8, alignment: 8))
    #expect(offset == 3)
    #expect(try layout == Layout(size: 11, alignment: 2))
  }

  @Test func `extending past Int max is refused`() throws {
    let half = try Layout(size: Int.max / 2 + 1, alignment: 1)
    #expect(throws: LayoutError.overflow) { try half.extend(half) }
    #expect(throws: LayoutError.overflow) { try half.extendPacked(half) }
    let all = try Layout(size: .max, alignment: 1)
    #expect(throws: LayoutError.overflow) { try all.extend(Layout(size: 0, alignment: 2)) }
    #expect(throws: LayoutError.overflow) { try all.padding(for: 2) }
    #expect(throws: LayoutError.overflow) { try all.raising(alignment: 2) }
  }

  @Test func `repeating pads every element, the last one too`() throws {
    let element = try Layout(size: 6, alignment: 4)
    let (array, stride) = try element.repeat(3)
    #expect(try array == Layout(size: 24, alignment: 4))
    #expect(stride == 8)
    #expect(try element.repeatPacked(3) == Layout(size: 18, alignment: 4))
    #expect(try element.repeat(0).layout == Layout(size: 0, alignment: 4))
    #expect(try element.repeatPacked(0) == Layout(size: 0, alignment: 4))
    #expect(throws: LayoutError.overflow) { try element.repeat(Int.max / 8 + 1) }
    #expect(throws: LayoutError.overflow) { try element.repeatPacked(Int.max / 6 + 1) }
  }

  @Test func `raising the alignment keeps the size and never lowers`() throws {
    let layout = try Layout(size: 16, alignment: 8)
    #expect(try layout.raising(alignment: 32) == Layout(size: 16, alignment: 32))
    #expect(try layout.raising(alignment: 2) == layout)
  }

  @Test func `padding reaches the next multiple and no further`() throws {
    for size in 0...40 {
      for alignment in [1, 2, 4, 8, 16] {
        let padding = try Layout(size: size, alignment: 1).padding(for: alignment)
        #expect((size + padding) % alignment == 0)
        #expect(padding < alignment)
        #expect(try Layout(size: size, alignment: alignment).padToAlignment().size == size + padding)
      }
    }
  }

  @Test func `the dangling address is the alignment`() throws {
    for shift in 0...62 {
      let layout = try Layout(size: 0, alignment: 1 << shift)
      #expect(UInt(bitPattern: layout.dangling) == 1 << UInt(shift))
      #expect(layout.emptyBlock.count == 0)
      #expect(layout.emptyBlock.baseAddress == layout.dangling)
    }
  }

  @Test func `one value takes its size, an array takes strides`() throws {
    #expect(try Layout.of(NineBytes.self) == Layout(size: 9, alignment: 8))
    #expect(try Layout.array(of: NineBytes.self, count: 2).size == 32)
    #expect(Layout.of(NineBytes.self).padToAlignment().size == 16)
    #expect(Layout.of(Empty.self).size == 0)
  }

  @Test func `an array layout remembers its count`() throws {
    #expect(ArrayLayout<NineBytes>.empty.isEmpty)
    let layout = try ArrayLayout<NineBytes>(count: 5)
    #expect(layout.count == 5)
    #expect(layout.size == 80)
    #expect(try layout.layout == Layout(size: 80, alignment: 8))
    #expect(try layout == ArrayLayout(count: 5))
  }

  @Test func `a layout error becomes the allocation error of the same reason`() {
    #expect(AllocError(.invalidAlignment) == .unsupportedAlignment)
    #expect(AllocError(.negativeSize) == .invalidLayout)
    #expect(AllocError(.overflow) == .invalidLayout)
  }

  #if DEBUG
    @Test func `an unchecked layout that is wrong traps in debug builds`() async {
      await #expect(processExitsWith: .failure) { _ = unsafe Layout(uncheckedSize: 1, alignment: 3) }
      await #expect(processExitsWith: .failure) { _ = unsafe Layout(uncheckedSize: -1, alignment: 1) }
      await #expect(processExitsWith: .failure) { _ = unsafe ArrayLayout<Int>(uncheckedCount: .max) }
    }
  #endif
}

extension Layout {
  /// The largest count up to `most` whose rounded size fits; the sizes are multiples of the alignment here.
  fileprivate static func largestFit<Element>(_ most: Int, of type: Element.Type) -> Int {
    most * MemoryLayout<Element>.stride <= Int.max - (MemoryLayout<Element>.alignment - 1) ? most : most - 1
  }
}
