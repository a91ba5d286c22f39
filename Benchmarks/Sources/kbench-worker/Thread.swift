import CBench
import Glibc

/// A thread that runs a closure.
struct Thread {
  private let handle: pthread_t

  init(_ body: @escaping () -> Void) {
    final class Body {
      let run: () -> Void
      init(_ run: @escaping () -> Void) { self.run = run }
    }
    var handle = pthread_t()
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    let refused = pthread_create(
      &handle, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
        return nil
      }, context)
    guard refused == 0 else { bench_fail(1, "no thread: \(String(cString: strerror(refused)))") }
    self.handle = handle
  }

  func join() { pthread_join(handle, nil) }
}
