import Testing

@testable import Slab

/// F63, first half: how slabs are cut.
@Suite struct `Slab geometry` {
  static let all = (0..<SizeClass.count).map { SlabGeometry(SizeClass(index: $0)) }

  @Test(arguments: 0..<SizeClass.count)
  func `every offset maps back to the object that begins there, and no other does`(index: Int) {
    let geometry = SlabGeometry(SizeClass(index: index))
    let bytes = geometry.frames * Frames.bytes
    var begins = 0
    for offset in 0..<bytes {
      let isBegin = offset % geometry.objectBytes == 0 && offset / geometry.objectBytes < geometry.objects
      let found = geometry.object(at: offset)
      guard found == (isBegin ? offset / geometry.objectBytes : nil) else {
        Issue.record("offset \(offset) of class \(index) is object \(String(describing: found))")
        return
      }
      begins += isBegin ? 1 : 0
    }
    #expect(begins == geometry.objects)
  }

  @Test func `a slab has a power of two of frames, eight objects, and a sixteenth unused at most`() {
    for geometry in Self.all {
      let bytes = geometry.frames * Frames.bytes
      #expect(geometry.frames.nonzeroBitCount == 1)
      #expect(geometry.objects >= 8)
      #expect(geometry.objects == bytes / geometry.objectBytes)
      #expect((bytes - geometry.objects * geometry.objectBytes) * 16 <= bytes)
    }
  }

  @Test func `objects are aligned to the largest power of two that divides their size, up to a page`() {
    for geometry in Self.all {
      let alignment = min(geometry.objectBytes & -geometry.objectBytes, Frames.bytes)
      for object in 0..<geometry.objects { #expect(object * geometry.objectBytes % alignment == 0) }
    }
  }

  @Test func `a slab's bits fit into the words of its own frames`() {
    for geometry in Self.all {
      #expect(geometry.words <= geometry.frames * SlabTable.bitWordsPerFrame)
      #expect(geometry.objects < 1 << 16, "the count in the slab's word has 16 bits")
    }
  }

  @Test func `a fresh bitmap has a bit for each object`() {
    for geometry in Self.all {
      let count = (0..<geometry.words).reduce(0) { $0 + geometry.freshWord($1).nonzeroBitCount }
      #expect(count == geometry.objects)
      for word in 0..<geometry.words {
        let fresh = geometry.freshWord(word)
        #expect(fresh & (fresh &+ 1) == 0, "the lowest bits are the first objects")
      }
      #expect(geometry.freshWord(geometry.words) == 0)
    }
  }
}
