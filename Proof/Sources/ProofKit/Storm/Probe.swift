import CProof
import Slab

/// A thread that works alone on a heap of its own, so that what the heap counts belongs to one operation: which operations of the
/// hit path were aborted, and how often the slow path then tried again.
final class Probe {
  private let heap: Heap

  init(mode: BindingMode) throws {
    heap = try HeapSubject(mode: mode, threads: 0).heap
  }

  /// What `cp_options.probe` calls; `context` is a probe, retained.
  static let run:
    @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt32>, UnsafeMutablePointer<cp_result>) -> Void = {
      context, ending, result in
      let probe = Unmanaged<Probe>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
      while cp_read(ending) == 0 { probe.round(&result.pointee) }
    }

  /// The stack holds a few objects and has room for more: an operation on it that is not done was aborted, or found the stack of
  /// a CPU that it was moved to.
  private func round(_ result: inout cp_result) {
    for _ in 0..<64 {
      result.probed += 2
      var block = heap.allocateCached(SizeClass(holding: 64))
      if block == nil { observe(&result) { block = heap.allocate(size: 64) } }
      guard let block else { return }
      if !heap.deallocateCached(UInt(bitPattern: block)) { observe(&result) { heap.deallocate(block, size: 64) } }
    }
  }

  private func observe(_ result: inout cp_result, _ slow: () -> Void) {
    let before = heap.statistics()
    slow()
    let after = heap.statistics()
    if after.refills == before.refills && after.flushes == before.flushes { result.aborted += 1 }
    result.most_retries = max(result.most_retries, UInt64(after.aborts - before.aborts))
  }
}
