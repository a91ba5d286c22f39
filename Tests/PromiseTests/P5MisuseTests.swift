import Glibc
import TestSupport
import Testing

@testable import Slab

/// In a child that is to trap: no backtrace, which takes seconds.
private func trapsQuietly() {
  for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS] { signal(number, SIG_DFL) }
}

extension ExitTest.Result? {
  /// What the child wrote to standard error.
  fileprivate var report: String { String(decoding: self?.standardErrorContent ?? [], as: UTF8.self) }
}

/// P5, F53: double free and foreign free are detected at the latest when the object leaves a CPU's cache. The report
/// names the rule.
///
/// Seen to fail where a return overlooks a bit that is set already, and where it drops what is no object.
@Suite struct `P5: misuse` {
  private static let doubleFree = "kalloc: double free: the block was freed before, at 0x"
  private static let foreignFree = "kalloc: foreign free: no block of this heap begins at 0x"
  private static let wrongLayout = "kalloc: wrong layout: size or alignment is not that of the block at 0x"

  @Test func `an object freed twice traps when it leaves the cache`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let block = Heap.global.allocate(size: 100)!
      Heap.global.deallocate(block, size: 100)
      Heap.global.deallocate(block, size: 100)
      Heap.global.drain()
      exit(0)
    }
    #expect(result.report.contains(Self.doubleFree))
  }

  @Test func `an object freed by two threads traps when it leaves their caches`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      nonisolated(unsafe) let block = Heap.global.allocate(size: 100)!
      for index in 0..<2 {
        onOneCPU(index) { Heap.global.deallocate(block, size: 100) }
      }
      Heap.global.drain()
      exit(0)
    }
    #expect(result.report.contains(Self.doubleFree))
  }

  @Test func `a large block freed twice traps at once`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let block = Heap.global.allocate(size: 100_000)!
      Heap.global.deallocate(block, size: 100_000)
      Heap.global.deallocate(block, size: 100_000)
      exit(0)
    }
    #expect(result.report.contains("kalloc: "))
    #expect(result.report.contains(Self.foreignFree) || result.report.contains(Self.doubleFree))
  }

  @Test func `a block above 1 GiB freed twice traps at once`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let block = Heap.global.allocate(size: 3 << 30)!
      Heap.global.deallocate(block, size: 3 << 30)
      Heap.global.deallocate(block, size: 3 << 30)
      exit(0)
    }
    #expect(result.report.contains(Self.foreignFree))
  }

  @Test func `pages freed twice trap when they leave the cache`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let page = try Heap.global.allocatePages(order: 1)
      Heap.global.deallocatePages(page, order: 1)
      Heap.global.deallocatePages(page, order: 1)
      Heap.global.drain()
      exit(0)
    }
    #expect(result.report.contains(Self.doubleFree))
  }

  @Test func `pages of a large order freed twice trap at once`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let page = try Heap.global.allocatePages(order: 9)
      Heap.global.deallocatePages(page, order: 9)
      Heap.global.deallocatePages(page, order: 9)
      exit(0)
    }
    #expect(result.report.contains(Self.doubleFree))
  }

  @Test func `a foreign pointer traps, with its size or without`() async {
    let sized = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100)!, size: 100)
      Heap.global.deallocate(malloc(100)!, size: 100)
      Heap.global.drain()
      exit(0)
    }
    #expect(sized.report.contains(Self.foreignFree))
    let unsized = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100)!, size: 100)
      Heap.global.deallocate(malloc(100)!)
      exit(0)
    }
    #expect(unsized.report.contains(Self.foreignFree))
  }

  @Test func `a foreign pointer traps where the heap was never used, too`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(malloc(100)!, size: 100)
      exit(0)
    }
    #expect(result.report.contains(Self.foreignFree))
  }

  @Test func `a block of another heap traps`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      let other = try Heap.create(HeapConfiguration())
      let block = other.allocate(size: 100)!
      Heap.global.deallocate(block, size: 100)
      Heap.global.drain()
      exit(0)
    }
    #expect(result.report.contains(Self.foreignFree))
  }

  @Test func `a pointer into the middle of a block traps`() async {
    let object = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100)! + 16, size: 100)
      Heap.global.drain()
      exit(0)
    }
    #expect(object.report.contains(Self.foreignFree))
    let run = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100_000)! + 4096, size: 96_000)
      exit(0)
    }
    #expect(run.report.contains(Self.foreignFree))
  }

  @Test func `a large block freed with a wrong size traps`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100_000)!, size: 50_000)
      exit(0)
    }
    #expect(result.report.contains(Self.wrongLayout))
  }

  @Test func `an object freed with another class's size traps, at once in debug builds`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocate(Heap.global.allocate(size: 100)!, size: 200)
      #if !DEBUG
        Heap.global.drain()
      #endif
      exit(0)
    }
    #if DEBUG
      #expect(result.report.contains(Self.wrongLayout))
    #else
      #expect(result.report.contains(Self.foreignFree))
    #endif
  }

  @Test func `foreign pages trap`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trapsQuietly()
      Heap.global.deallocatePages(try Heap.global.allocatePages(order: 0), order: 0)
      Heap.global.deallocatePages(UnsafeMutableRawPointer(bitPattern: 0x1000)!, order: 0)
      Heap.global.drain()
      exit(0)
    }
    #expect(result.report.contains(Self.foreignFree))
  }
}
