import CStress
import Dispatch
import Glibc

// How the workers of a phase get their threads.
//
// Dispatch: one serial queue for each worker. Serial queues overcommit, so 64 of them are 64 threads on two cores
// (`concurrentPerform` would never use more threads than cores). For scenarios about threads themselves: a new thread
// for each worker, which ends with the work.

enum Crew: Sendable {
  case queues
  case threads

  /// Above this many workers queues give way to threads: Dispatch keeps a bound on its own.
  static let mostQueues = 128
  /// A phase that is over and whose workers make no step for this long has stalled.
  static let patience = 30.0

  /// Runs `body(0) … body(count - 1)`, each on its own thread, and waits for all. After `seconds` (never, where `nil`)
  /// the phase is declared over. False where the workers do not come back.
  func run(_ count: Int, control: Control, seconds: Double?, body: @escaping @Sendable (Int) -> Void) -> Bool {
    let group = DispatchGroup()
    for index in 0..<count {
      group.enter()
      if case .queues = self, count <= Self.mostQueues {
        DispatchQueue(label: "kstress.worker.\(index)").async {
          body(index)
          group.leave()
        }
      } else {
        Self.startThread {
          body(index)
          group.leave()
        }
      }
    }
    if let seconds, group.wait(timeout: .now() + seconds) == .success { return true }
    if seconds != nil { control.endPhase() }
    var last = -1
    var quietSince = cs_now()
    while group.wait(timeout: .now() + 0.5) == .timedOut {
      let progress = control.progress
      if progress != last { (last, quietSince) = (progress, cs_now()) }
      if Double(cs_now() - quietSince) / 1e9 > Self.patience { return false }
    }
    return true
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// A new thread that ends with `body`.
  static func startThread(_ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(body))
    let status = pthread_create(
      &thread, &attributes,
      { raw in
        Unmanaged<Work>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    pthread_attr_destroy(&attributes)
    if status != 0 { Program.lacks("another thread (\(String(cString: strerror(status))))") }
  }
}
