import ArgumentParser
import CProof
import Slab

/// What is put to the test: KAlloc in one of its modes, or something broken on purpose, which a proof must find.
enum SubjectName: String, ExpressibleByArgument {
  case rseq, thread, shared
  /// Heaps of all three modes in one process, chosen by size.
  case mixed
  /// A stack per CPU whose pop and push are no restartable sequences.
  case plainStacks = "plain-stacks"
  /// A spin lock around every operation.
  case spinLocked = "spin-locked"

  static var modes: [SubjectName] { [.rseq, .thread, .shared] }

  var mode: BindingMode {
    switch self {
    case .thread: .thread
    case .shared: .shared
    default: .rseq
    }
  }
}

/// A heap behind the functions that the workloads call.
///
/// The object is never freed: forked children and handlers look at it until the process ends.
final class HeapSubject {
  let heap: Heap
  let threads: Int
  private var stirs = 0

  /// Address space of a heap, so that the map of owners knows each address by its lower bits.
  static let windowBytes = 1 << 30

  init(mode: BindingMode, threads: Int) throws {
    var configuration = HeapConfiguration()
    configuration.mode = mode
    configuration.windowBytes = HeapSubject.windowBytes
    heap = try Heap.create(configuration)
    self.threads = threads
    if heap.mode != mode { throw Exit(status: 69, message: "this machine has no \(mode) mode") }
  }

  /// As functions. Half of the frees, by address, are told the size.
  var table: cp_allocator {
    var table = cp_allocator(
      context: Unmanaged.passRetained(self).toOpaque(),
      allocate: { context, size in HeapSubject.at(context).heap.allocate(size: size) },
      release: { context, block, size in
        let heap = HeapSubject.at(context).heap
        if UInt(bitPattern: block) & 16 == 0 { heap.deallocate(block, size: size) } else { heap.deallocate(block) }
      },
      stir: { context in HeapSubject.at(context).stir() },
      check: { context, cutOff in
        let subject = HeapSubject.at(context)
        return cutOff ? subject.checkCutOff() : subject.checkEmpty()
      })
    table.stir = threads > 0 ? table.stir : nil
    return table
  }

  @inline(__always)
  private static func at(_ context: UnsafeMutableRawPointer?) -> HeapSubject {
    Unmanaged.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef { $0 }
  }

  private func stir() {
    stirs += 1
    if stirs % 4 == 0 { heap.trim() } else { heap.drain() }
  }

  /// Everything was freed and everybody has returned: 0, or which book does not balance.
  func checkEmpty() -> Int32 {
    heap.trim()
    let books = heap.statistics()
    if books.carvedObjects != books.freeObjects + books.cachedObjects { return 1 }
    if books.cachedObjects != 0 || books.cachedPageBytes != 0 { return 2 }
    if books.largeBlocks != 0 || books.committedBytes != 0 { return 3 }
    if books.pages.allocatedFrames != 0 { return 4 }
    return heap.validate(during: .none) == nil ? 0 : 5
  }

  /// Everything known was freed, in a child whose parent's other threads were anywhere: each of them may have taken with it one
  /// magazine and the object in its hands, or one large block.
  func checkCutOff() -> Int32 {
    if let fault = heap.validate(during: .cutOff) {
      Program.complain("validate in a child: \(fault)")
      return 1
    }
    heap.drain()
    let books = heap.statistics()
    // Below 0 where a drain was cut off after it returned what the stacks still show; `validate` knows those stacks.
    let lost = books.carvedObjects - books.freeObjects - books.cachedObjects
    if lost > threads * (Bounds.magazine + 1) { return 2 }
    if books.largeBlocks > threads { return 3 }
    return heap.validate(during: .cutOff) == nil ? 0 : 4
  }
}

/// What ARCHITECTURE.md states.
enum Bounds {
  /// Objects in a magazine, at most.
  static let magazine = 256
  /// Bytes of its caller's stack that an operation writes to, at most.
  static let stack = 4096
  /// How often the slow path tries an operation that was aborted, before it goes the shared path.
  static let retries = 32
}
