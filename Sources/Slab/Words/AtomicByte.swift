import KAllocAtomics

/// One shared 8-bit word: a place that several threads touch, by atomic operations only.
///
/// A handle, one pointer wide; copying it copies the handle. The ordering is part of every name.
/// Compare-exchange returns the value found; it succeeded where that equals `expected`.
///
/// Thread-safety: Concurrent.
///
/// ## Invariants
/// `address` is aligned, and the memory outlives every handle to it.
@safe
public struct AtomicByte: Sendable {
  @usableFromInline nonisolated(unsafe) let address: UnsafeMutablePointer<UInt8>

  /// > Safety: `address` is aligned for `UInt8`, stays mapped as long as the handle is used, and is touched
  /// > by nothing but such handles meanwhile.
  @unsafe @inlinable @inline(__always)
  public init(_ address: UnsafeMutablePointer<UInt8>) {
    unsafe self.address = address
  }

  @inlinable @inline(__always)
  public func loadRelaxed() -> UInt8 { unsafe ka_u8_load_relaxed(address) }

  @inlinable @inline(__always)
  public func loadAcquire() -> UInt8 { unsafe ka_u8_load_acquire(address) }

  @inlinable @inline(__always)
  public func loadSequentiallyConsistent() -> UInt8 { unsafe ka_u8_load_seq_cst(address) }

  @inlinable @inline(__always)
  public func storeRelaxed(_ value: UInt8) { unsafe ka_u8_store_relaxed(address, value) }

  @inlinable @inline(__always)
  public func storeRelease(_ value: UInt8) { unsafe ka_u8_store_release(address, value) }

  @inlinable @inline(__always)
  public func storeSequentiallyConsistent(_ value: UInt8) { unsafe ka_u8_store_seq_cst(address, value) }

  @inlinable @inline(__always)
  public func exchangeRelaxed(_ value: UInt8) -> UInt8 { unsafe ka_u8_exchange_relaxed(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelaxed(_ expected: UInt8, _ desired: UInt8) -> UInt8 {
    unsafe ka_u8_cas_relaxed(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelaxed(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_add_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelaxed(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_sub_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelaxed(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_or_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelaxed(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_and_relaxed(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquire(_ value: UInt8) -> UInt8 { unsafe ka_u8_exchange_acquire(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquire(_ expected: UInt8, _ desired: UInt8) -> UInt8 {
    unsafe ka_u8_cas_acquire(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquire(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_add_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquire(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_sub_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrAcquire(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_or_acquire(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquire(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_and_acquire(address, operand) }

  @inlinable @inline(__always)
  public func exchangeRelease(_ value: UInt8) -> UInt8 { unsafe ka_u8_exchange_release(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeRelease(_ expected: UInt8, _ desired: UInt8) -> UInt8 {
    unsafe ka_u8_cas_release(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_add_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_sub_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchOrRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_or_release(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_and_release(address, operand) }

  @inlinable @inline(__always)
  public func exchangeAcquireRelease(_ value: UInt8) -> UInt8 { unsafe ka_u8_exchange_acq_rel(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeAcquireRelease(_ expected: UInt8, _ desired: UInt8) -> UInt8 {
    unsafe ka_u8_cas_acq_rel(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddAcquireRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_add_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchSubtractAcquireRelease(_ operand: UInt8) -> UInt8 {
    unsafe ka_u8_fetch_sub_acq_rel(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrAcquireRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_or_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func fetchAndAcquireRelease(_ operand: UInt8) -> UInt8 { unsafe ka_u8_fetch_and_acq_rel(address, operand) }

  @inlinable @inline(__always)
  public func exchangeSequentiallyConsistent(_ value: UInt8) -> UInt8 { unsafe ka_u8_exchange_seq_cst(address, value) }

  @inlinable @inline(__always)
  public func compareExchangeSequentiallyConsistent(_ expected: UInt8, _ desired: UInt8) -> UInt8 {
    unsafe ka_u8_cas_seq_cst(address, expected, desired)
  }

  @inlinable @inline(__always)
  public func fetchAddSequentiallyConsistent(_ operand: UInt8) -> UInt8 {
    unsafe ka_u8_fetch_add_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchSubtractSequentiallyConsistent(_ operand: UInt8) -> UInt8 {
    unsafe ka_u8_fetch_sub_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchOrSequentiallyConsistent(_ operand: UInt8) -> UInt8 {
    unsafe ka_u8_fetch_or_seq_cst(address, operand)
  }

  @inlinable @inline(__always)
  public func fetchAndSequentiallyConsistent(_ operand: UInt8) -> UInt8 {
    unsafe ka_u8_fetch_and_seq_cst(address, operand)
  }
}
