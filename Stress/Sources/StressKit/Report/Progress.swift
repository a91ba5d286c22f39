import CStress
import Dispatch
import Foundation

/// Tells on standard error where a run is: one line rewritten four times a second on a terminal, else a line every ten seconds.
final class Progress {
  struct Style: Sendable {
    var rewrites: Bool
    var colours: Bool

    static func forStandardError(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> Self {
      let terminal = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
      return Style(rewrites: terminal, colours: terminal && (environment["NO_COLOR"] ?? "").isEmpty)
    }
  }

  private let timer: any DispatchSourceTimer
  private let style: Style
  private let written = DispatchQueue(label: "kstress.progress")

  /// `line` is called on a queue of its own. An ordinary function: handlers made in `main` would belong to the main actor.
  init(style: Style = .forStandardError(), line: @escaping @Sendable () -> String) {
    self.style = style
    let source = DispatchSource.makeTimerSource(queue: written)
    timer = source
    let interval = style.rewrites ? 0.25 : 10
    source.schedule(deadline: .now() + interval, repeating: interval)
    source.setEventHandler { Self.write(line(), style) }
    source.resume()
  }

  /// No line is written after this returns; the rewritten one is wiped.
  func end() {
    timer.cancel()
    written.sync {}
    if style.rewrites { Self.put("\r" + String(repeating: " ", count: Self.width) + "\r") }
  }

  private static let width = 79

  private static func write(_ line: String, _ style: Style) {
    guard style.rewrites else { return put("kstress: \(line)\n") }
    let text = String("kstress: \(line)".prefix(width)).padded(width)
    put(style.colours ? "\r\u{1B}[36m\(text)\u{1B}[0m" : "\r\(text)")
  }

  private static func put(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
