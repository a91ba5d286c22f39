#if os(Linux)
  import CTestSupport
  import Glibc
  import Synchronization

  /// A thread that runs `body` once.
  public final class TestThread: @unchecked Sendable {
    // Sendable: `thread` is written before anybody else has the object.
    public private(set) var thread = pthread_t()

    private final class Start {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// - Parameter stackBytes: 0: the system's default.
    public init(stackBytes: Int = 0, _ body: @escaping @Sendable () -> Void) {
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      if stackBytes > 0 { pthread_attr_setstacksize(&attributes, stackBytes) }
      let start = Unmanaged.passRetained(Start(body)).toOpaque()
      let failed = pthread_create(
        &thread, &attributes,
        { start in
          ct_accept_signals()
          Unmanaged<Start>.fromOpaque(start!).takeRetainedValue().body()
          return nil
        }, start)
      precondition(failed == 0, "no thread: \(failed)")
      pthread_attr_destroy(&attributes)
    }

    public func join() { pthread_join(thread, nil) }
  }

  /// Runs `body` on `count` threads and waits for them.
  public func onThreads(_ count: Int, stackBytes: Int = 0, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in TestThread(stackBytes: stackBytes) { body(index) } }
    for thread in threads { thread.join() }
  }

  /// Runs `body` on a thread that is bound to one CPU, and waits for it.
  public func onOneCPU(_ index: Int = 0, _ body: @escaping @Sendable () -> Void) {
    TestThread {
      _ = ct_pin(Int32(index))
      body()
    }.join()
  }

  /// Runs `body` while no other test that counts thread slots does: in `thread` mode the lowest free ones are taken, of a table that
  /// all heaps share, so a thousand threads of one test would push those of the other to where no slot was used before.
  public func countingThreadSlots<Result>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(slotCounters.lock)
    defer { pthread_mutex_unlock(slotCounters.lock) }
    return try body()
  }

  private final class SlotCounters: @unchecked Sendable {
    // Sendable: the mutex is made for that.
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    init() { pthread_mutex_init(lock, nil) }
  }

  private let slotCounters = SlotCounters()

  /// Threads that pass wait, without working, until it opens.
  public final class Door: @unchecked Sendable {
    // Sendable: the mutex is made for that.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    public init() {
      pthread_mutex_init(mutex, nil)
      pthread_mutex_lock(mutex)
    }

    public func open() { pthread_mutex_unlock(mutex) }

    public func pass() {
      pthread_mutex_lock(mutex)
      pthread_mutex_unlock(mutex)
    }

    deinit {
      pthread_mutex_destroy(mutex)
      mutex.deallocate()
    }
  }

  /// A number that threads share.
  public final class Counter: Sendable {
    private let word: Atomic<Int>

    public init(_ value: Int = 0) { word = Atomic(value) }

    public var value: Int {
      get { word.load(ordering: .sequentiallyConsistent) }
      set { word.store(newValue, ordering: .sequentiallyConsistent) }
    }

    @discardableResult
    public func add(_ amount: Int = 1) -> Int {
      word.wrappingAdd(amount, ordering: .sequentiallyConsistent).newValue
    }

    /// Waits until the number is at least `value`; false: not within `seconds`.
    public func wait(for value: Int, seconds: Int = 60) -> Bool {
      for _ in 0..<seconds * 10_000 {
        if self.value >= value { return true }
        usleep(100)
      }
      return self.value >= value
    }
  }
#endif
