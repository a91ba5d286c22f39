import KAllocAtomics

/// One shared 32-bit word: a place that several threads touch, by atomic operations only.
///
/// A handle, one pointer wide; copying it copies the handle. The ordering is part of every name.
/// Compare-exchange returns the value found; it succeeded where that equals `expected`.
///
/// Thread-safety: Concurrent.
///
/// ## Invariants
/// `address` is aligned, and the memory outlives every handle to it.
@safe
public struct AtomicWord32: Sendable {
  @usableFromInline nonisolated(unsafe) let address: UnsafeMutablePointer<UInt32>

  /// > Safety: `address` is aligned for `UInt32`, stays mapped as long as the handle is used, and is touched
  /// > by nothing but such handles meanwhile.
  @unsafe @inlinable @inline(__always)
  public init(_ address: UnsafeMutablePointer<UInt32>) {
    unsafe self.address = address
  }

  @inlinable @inline(__always)
  public func loadRelaxed() -> UInt32 { unsafe ka_u32_load_relaxed(address) }

  @inlinable @inline(__always)
  public func loadAcquire() -> UInt32 { unsafe ka_u32_load_acquire(address) }

  @inlinable @inline(__always)
  public func loadSequentiallyConsistent() -> UInt32 { unsafe ka_u32_load_seq_cst(address) }

  @inlinable @inline(__always)
  public func storeRelaxed(_ value: UInt32) { unsafe ka_u32_store_relaxed(address, value) }

  @inlinable @inline(__always)
  public func storeRelease(_ value: UInt32) { unsafe ka_u32_store_release(address, value) }

  @inlinable @inline(__always)
  public func storeSequentiallyConsistent(_ value: UInt32) { unsafe ka_u32_store_seq_cst(address, value) }

  @inlinable @inline(__always)
  public func exchangeRelaxed(_ value: UInt32) -> UInt32 { unsafe ka_u32_exchange_relaxed(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelaxed(_ expected: UInt32, _ desired: UInt32) -> UInt32 {
    unsafe ka_u32_cas_relaxed(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelaxed(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_add_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelaxed(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_sub_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelaxed(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_or_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelaxed(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_and_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquire(_ value: UInt32) -> UInt32 { unsafe ka_u32_exchange_acquire(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquire(_ expected: UInt32, _ desired: UInt32) -> UInt32 {
    unsafe ka_u32_cas_acquire(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquire(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_add_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquire(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_sub_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrAcquire(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_or_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquire(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_and_acquire(address, operand) }

  @inlinable @inline(__always)
  public func exchangeRelease(_ value: UInt32) -> UInt32 { unsafe ka_u32_exchange_release(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelease(_ expected: UInt32, _ desired: UInt32) -> UInt32 {
    unsafe ka_u32_cas_release(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_add_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_sub_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_or_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_and_release(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquireRelease(_ value: UInt32) -> UInt32 { unsafe ka_u32_exchange_acq_rel(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquireRelease(_ expected: UInt32, _ desired: UInt32) -> UInt32 {
    unsafe ka_u32_cas_acq_rel(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquireRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_add_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquireRelease(_ operand: UInt32) -> UInt32 {
    unsafe ka_u32_fetch_sub_acq_rel(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrAcquireRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_or_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquireRelease(_ operand: UInt32) -> UInt32 { unsafe ka_u32_fetch_and_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func exchangeSequentiallyConsistent(_ value: UInt32) -> UInt32 {
    unsafe ka_u32_exchange_seq_cst(address, value)
  }

  @inlinable @inline(__always)
  public func compareExchangeSequentiallyConsistent(_ expected: UInt32, _ desired: UInt32) -> UInt32 {
    unsafe ka_u32_cas_seq_cst(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddSequentiallyConsistent(_ operand: UInt32) -> UInt32 {
    unsafe ka_u32_fetch_add_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchSubtractSequentiallyConsistent(_ operand: UInt32) -> UInt32 {
    unsafe ka_u32_fetch_sub_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrSequentiallyConsistent(_ operand: UInt32) -> UInt32 {
    unsafe ka_u32_fetch_or_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchAndSequentiallyConsistent(_ operand: UInt32) -> UInt32 {
    unsafe ka_u32_fetch_and_seq_cst(address, operand)
  }
}
