import Foundation

/// The machine, the moment and the rows of a run: what is written as JSON.
struct Report: Codable {
  let date: String
  let machine: String
  let system: String
  /// Threads that wanted to run, on average over the minute before: above half of the CPUs, figures are not to be trusted.
  let load: Double
  let rounds, milliseconds: Int
  let rows: [Row]

  init(rounds: Int, milliseconds: Int, load: Double, rows: [Row]) {
    self.rounds = rounds
    self.milliseconds = milliseconds
    self.load = load
    self.rows = rows
    date = Date().formatted(.iso8601)
    let information = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let model =
      information?.split(separator: "\n").first { $0.hasPrefix("model name") }?
      .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
    machine = "\(model ?? "unknown CPU"), \(ProcessInfo.processInfo.activeProcessorCount) CPUs"
    let kernel = try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
    system = "Linux \(kernel?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "?")"
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// As a table in Markdown.
  var table: String {
    func figure(_ value: Double) -> String { String(format: value < 9.995 ? "%.2f" : "%.1f", value) }
    func range(_ spread: Spread) -> String { "\(figure(spread.least))–\(figure(spread.most))" }
    var cells = [["workload", "allocator", "ns/pair", "least–most", "of glibc's", "least–most", "at most", ""]]
    for row in rows {
      cells.append([
        row.workload, row.contender, figure(row.nanoseconds.median), range(row.nanoseconds), figure(row.ratio.median),
        range(row.ratio), row.target.map(figure) ?? "", row.met.map { $0 ? "met" : "MISSED" } ?? "",
      ])
    }
    let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    func line(_ row: [String]) -> String {
      let padded = row.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - row[column].count)
        return column < 2 || column == 7 ? row[column] + space : space + row[column]
      }
      return "| " + padded.joined(separator: " | ") + " |"
    }
    let rule = widths.indices.map { column in
      let dashes = String(repeating: "-", count: max(3, widths[column]))
      return column < 2 || column == 7 ? dashes : dashes.dropLast() + ":"
    }
    return ([line(cells[0]), "| " + rule.joined(separator: " | ") + " |"] + cells.dropFirst().map(line))
      .joined(separator: "\n")
  }
}
