import CProof
import Slab

/// Heaps of all modes in one process: the mode of a block follows from its size.
final class MixedSubject {
  private let subjects: [HeapSubject]

  init(threads: Int) throws {
    subjects = try [.rseq, .thread, .shared].map { try HeapSubject(mode: $0, threads: threads) }
  }

  var table: cp_allocator {
    cp_allocator(
      context: Unmanaged.passRetained(self).toOpaque(),
      allocate: { context, size in MixedSubject.at(context, size).heap.allocate(size: size) },
      release: { context, block, size in
        let heap = MixedSubject.at(context, size).heap
        if UInt(bitPattern: block) & 16 == 0 { heap.deallocate(block, size: size) } else { heap.deallocate(block) }
      },
      stir: { context in for index in 0..<3 { MixedSubject.at(context, index).heap.drain() } },
      check: { context, cutOff in
        for index in 0..<3 {
          let subject = MixedSubject.at(context, index)
          let code = cutOff ? subject.checkCutOff() : subject.checkEmpty()
          if code != 0 { return code }
        }
        return 0
      })
  }

  @inline(__always)
  private static func at(_ context: UnsafeMutableRawPointer?, _ size: Int) -> HeapSubject {
    Unmanaged<MixedSubject>.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef { $0.subjects[size % 3] }
  }
}
