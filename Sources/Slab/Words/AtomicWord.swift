import KAllocAtomics

/// One shared 64-bit word: a place that several threads touch, by atomic operations only.
///
/// A handle, one pointer wide; copying it copies the handle. The ordering is part of every name.
/// Compare-exchange returns the value found; it succeeded where that equals `expected`.
///
/// Thread-safety: Concurrent.
///
/// ## Invariants
/// `address` is aligned, and the memory outlives every handle to it.
@safe
public struct AtomicWord: Sendable {
  @usableFromInline nonisolated(unsafe) let address: UnsafeMutablePointer<UInt64>

  /// > Safety: `address` is aligned for `UInt64`, stays mapped as long as the handle is used, and is touched
  /// > by nothing but such handles meanwhile.
  @unsafe @inlinable @inline(__always)
  public init(_ address: UnsafeMutablePointer<UInt64>) {
    unsafe self.address = address
  }

  @inlinable @inline(__always)
  public func loadRelaxed() -> UInt64 { unsafe ka_u64_load_relaxed(address) }

  @inlinable @inline(__always)
  public func loadAcquire() -> UInt64 { unsafe ka_u64_load_acquire(address) }

  @inlinable @inline(__always)
  public func loadSequentiallyConsistent() -> UInt64 { unsafe ka_u64_load_seq_cst(address) }

  @inlinable @inline(__always)
  public func storeRelaxed(_ value: UInt64) { unsafe ka_u64_store_relaxed(address, value) }

  @inlinable @inline(__always)
  public func storeRelease(_ value: UInt64) { unsafe ka_u64_store_release(address, value) }

  @inlinable @inline(__always)
  public func storeSequentiallyConsistent(_ value: UInt64) { unsafe ka_u64_store_seq_cst(address, value) }

  @inlinable @inline(__always)
  public func exchangeRelaxed(_ value: UInt64) -> UInt64 { unsafe ka_u64_exchange_relaxed(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelaxed(_ expected: UInt64, _ desired: UInt64) -> UInt64 {
    unsafe ka_u64_cas_relaxed(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelaxed(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_add_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelaxed(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_sub_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelaxed(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_or_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelaxed(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_and_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquire(_ value: UInt64) -> UInt64 { unsafe ka_u64_exchange_acquire(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquire(_ expected: UInt64, _ desired: UInt64) -> UInt64 {
    unsafe ka_u64_cas_acquire(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquire(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_add_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquire(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_sub_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrAcquire(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_or_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquire(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_and_acquire(address, operand) }

  @inlinable @inline(__always)
  public func exchangeRelease(_ value: UInt64) -> UInt64 { unsafe ka_u64_exchange_release(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelease(_ expected: UInt64, _ desired: UInt64) -> UInt64 {
    unsafe ka_u64_cas_release(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_add_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_sub_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_or_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_and_release(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquireRelease(_ value: UInt64) -> UInt64 { unsafe ka_u64_exchange_acq_rel(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquireRelease(_ expected: UInt64, _ desired: UInt64) -> UInt64 {
    unsafe ka_u64_cas_acq_rel(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquireRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_add_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquireRelease(_ operand: UInt64) -> UInt64 {
    unsafe ka_u64_fetch_sub_acq_rel(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrAcquireRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_or_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquireRelease(_ operand: UInt64) -> UInt64 { unsafe ka_u64_fetch_and_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func exchangeSequentiallyConsistent(_ value: UInt64) -> UInt64 {
    unsafe ka_u64_exchange_seq_cst(address, value)
  }

  @inlinable @inline(__always)
  public func compareExchangeSequentiallyConsistent(_ expected: UInt64, _ desired: UInt64) -> UInt64 {
    unsafe ka_u64_cas_seq_cst(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddSequentiallyConsistent(_ operand: UInt64) -> UInt64 {
    unsafe ka_u64_fetch_add_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchSubtractSequentiallyConsistent(_ operand: UInt64) -> UInt64 {
    unsafe ka_u64_fetch_sub_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrSequentiallyConsistent(_ operand: UInt64) -> UInt64 {
    unsafe ka_u64_fetch_or_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchAndSequentiallyConsistent(_ operand: UInt64) -> UInt64 {
    unsafe ka_u64_fetch_and_seq_cst(address, operand)
  }
}
