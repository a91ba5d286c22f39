import Glibc
import Synchronization

@testable import StressKit

/// The C library's allocator with a count of committed bytes, a limit, and one fault on purpose.
struct FaultyAllocator: AllocatorUnderTest {
  enum Fault: Sendable, CaseIterable {
    case none, givesTwice, corruptsByte, losesBlock, misaligns, doesNotZero, losesContentOnResize, refuses
    case freesOnRefusedResize, ignoresLimit, failsValidation, understatesUsable, hangs, leaksInScratchHeap
    case staysFull, leaksUnseen
  }

  final class State: Sendable {
    let committed = Atomic<Int>(1 << 20)
    let limit = Atomic<Int>(1 << 40)
    let calls = Atomic<Int>(0)
    /// Whether a request was ever refused.
    let wasFull = Atomic<Bool>(false)
    /// Bytes that are in no count of the allocator's own.
    let leaked = Atomic<Int>(0)
    /// A few recent blocks with their sizes: victims.
    let recent = Guarded<[(UInt, Int)]>([])
  }

  let fault: Fault
  let state = State()
  /// The fault happens once in this many calls that it could happen in. Requests for zeroed blocks are rare.
  private var period: Int { fault == .doesNotZero ? 53 : 1009 }
  private let system = SystemLibraryAllocator()

  var name: String { "faulty" }

  private func isDue() -> Bool {
    (state.calls.wrappingAdd(1, ordering: .relaxed).newValue) % period == 0
  }

  private func reserve(_ size: Int) -> Bool {
    let after = state.committed.wrappingAdd(size, ordering: .relaxed).newValue
    let staysFull = fault == .staysFull && size >= 1 << 20 && state.wasFull.load(ordering: .relaxed)
    let isFull = staysFull || after > state.limit.load(ordering: .relaxed)
    guard fault != .ignoresLimit, isFull else { return true }
    state.wasFull.store(true, ordering: .relaxed)
    state.committed.wrappingSubtract(size, ordering: .relaxed)
    return false
  }

  private func remember(_ block: UnsafeMutableRawPointer, _ size: Int) {
    state.recent.withLock {
      if $0.count >= 64 { $0.removeFirst() }
      $0.append((UInt(bitPattern: block), size))
    }
  }

  private func forget(_ block: UnsafeMutableRawPointer) {
    state.recent.withLock { $0.removeAll { $0.0 == UInt(bitPattern: block) } }
  }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    let due = fault != .none && (fault != .doesNotZero || zeroed) && isDue()
    if due, fault == .refuses { return nil }
    if due, fault == .leaksUnseen { state.leaked.wrappingAdd(8 << 10, ordering: .relaxed) }
    if due, fault == .hangs { while true { sleep(1) } }
    let victim = due ? state.recent.withLock { $0.last { $0.1 >= size } } : nil
    if fault == .givesTwice, let victim, alignment <= 16, !zeroed {
      return UnsafeMutableRawPointer(bitPattern: victim.0)
    }
    guard reserve(size) else { return nil }
    let padding = fault == .misaligns ? 64 : 0
    let wanted = fault == .doesNotZero ? false : zeroed
    guard var block = system.allocate(size: size + padding, alignment: alignment, zeroed: wanted) else { return nil }
    if due, fault == .misaligns, alignment > 1 { block += alignment / 2 }
    if fault == .doesNotZero, zeroed, due { block.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self) }
    if fault == .doesNotZero, zeroed, !due { memset(block, 0, size) }
    // Under the lock that `forget` takes before a block is freed: the victim is live while it is spoilt.
    if due, fault == .corruptsByte {
      state.recent.withLock { recent in
        guard let victim = recent.first else { return }
        let byte = UnsafeMutablePointer<UInt8>(bitPattern: victim.0)! + min(victim.1 - 1, 5)
        byte.pointee ^= 0x10
      }
    }
    if fault == .givesTwice || fault == .corruptsByte { remember(block, size) }
    return block
  }

  func deallocate(_ block: UnsafeMutableRawPointer, size: Int, alignment: Int) {
    if fault == .givesTwice || fault == .corruptsByte { forget(block) }
    if fault == .losesBlock, isDue() { return }
    state.committed.wrappingSubtract(size, ordering: .relaxed)
    // A pointer that was moved, or given out twice, must not reach the C library: it stays allocated.
    if fault == .misaligns || fault == .givesTwice { return }
    system.deallocate(block, size: size, alignment: alignment)
  }

  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, newSize: Int
  ) -> ResizedBlock? {
    guard let moved = allocate(size: newSize, alignment: alignment, zeroed: false) else {
      if fault == .freesOnRefusedResize, size >= 8 { block.storeBytes(of: 0, as: UInt64.self) }
      return nil
    }
    let lost = fault == .losesContentOnResize && isDue() ? 1 : 0
    memcpy(moved, block, max(0, min(size, newSize) - lost))
    deallocate(block, size: size, alignment: alignment)
    return ResizedBlock(address: moved, size: newSize)
  }

  func usableSize(of block: UnsafeMutableRawPointer) -> Int? {
    guard fault != .misaligns else { return nil }
    return fault == .understatesUsable ? 0 : system.usableSize(of: block)
  }

  func allocatePages(order: Int) -> UnsafeMutableRawPointer? {
    allocate(size: 4096 << order, alignment: 4096 << order, zeroed: false)
  }

  func deallocatePages(_ block: UnsafeMutableRawPointer, order: Int) {
    deallocate(block, size: 4096 << order, alignment: 4096 << order)
  }

  var committedBytes: Int? { state.committed.load(ordering: .relaxed) }
  var limit: Int? { state.limit.load(ordering: .relaxed) }
  func setLimit(_ bytes: Int) { state.limit.store(bytes, ordering: .relaxed) }
  func validate() -> String? { fault == .failsValidation ? "a slab has lost an object" : nil }
  var makesScratchHeaps: Bool { true }
  func exerciseScratchHeap(seed: UInt64) -> ScratchResult {
    ScratchResult(failure: fault == .leaksInScratchHeap ? "destroy left 3 objects behind" : nil, blocks: 1)
  }
}
