import Glibc

/// A value behind a mutex of the C library, which ThreadSanitizer understands (it does not see into `Synchronization.Mutex`).
///
/// For what is rare: failures, the position of a run. Concurrent: the value is reached under the mutex only, hence the
/// unchecked `Sendable`.
final class Guarded<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
