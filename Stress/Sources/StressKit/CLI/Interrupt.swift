import Dispatch
import Foundation

/// Ctrl-C: the first one calls `action` and lets the run end by itself, the second ends the process at once, with status 130.
final class Interrupt {
  private let source: any DispatchSourceSignal

  init(_ action: @escaping @Sendable () -> Void) {
    signal(SIGINT, SIG_IGN)
    let made = DispatchSource.makeSignalSource(signal: SIGINT, queue: DispatchQueue(label: "kstress.interrupt"))
    source = made
    made.setEventHandler {
      action()
      signal(SIGINT, SIG_DFL)
    }
    made.resume()
  }

  func end() {
    source.cancel()
    signal(SIGINT, SIG_DFL)
  }
}
