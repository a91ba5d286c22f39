import Foundation

/// The machine, the moment, the targets and the rows of a run: what is written as JSON, and as text.
struct Report: Codable {
  let machine: Machine
  let rounds, milliseconds: Int
  let rows: [Row]
  let targets: [Outcome]

  init(machine: Machine, rounds: Int, milliseconds: Int, rows: [Row]) {
    self.machine = machine
    self.rounds = rounds
    self.milliseconds = milliseconds
    self.rows = rows
    targets = Target.all.compactMap { $0.outcome(rows) }
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// The families in the order of the run.
  var families: [String] {
    var families: [String] = []
    for row in rows where !families.contains(row.family) { families.append(row.family) }
    return families
  }

  var head: String {
    let lines = [machine.text, "medians of \(rounds) interleaved rounds of \(milliseconds) ms", machine.warning]
    return lines.compactMap { $0 }.joined(separator: "\n")
  }

  /// The targets, for the README.
  var summary: String { "\(head)\n\n\(targetTable)" }

  /// A table for each family, then the targets.
  var text: String {
    var parts = [head] + families.map { "## \($0)\n\n\(table($0))" }
    if !targets.isEmpty { parts.append("## Targets\n\n\(targetTable)") }
    return parts.joined(separator: "\n\n")
  }

  private func table(_ family: String) -> String {
    let rows = rows.filter { $0.family == family }
    var names: [String] = []
    for entry in rows.flatMap(\.entries) where !names.contains(entry.contender) { names.append(entry.contender) }
    let subjects = names.filter { name in rows.contains { $0[name]?.isPeer == false } }
    var cells = [["", "unit"] + names + ["best peer"] + subjects.map { "\($0) / best" }]
    for row in rows {
      cells.append(
        [row.title, row.figure.unit] + names.map { row[$0].map { figure($0.spread.median) } ?? "" } + [row.best ?? ""]
          + subjects.map { row[$0]?.ofBest.map(range) ?? "" })
    }
    return markdown(cells)
  }

  private var targetTable: String {
    var cells = [["measure", "against", "ratio", "least – most", "at most", ""]]
    for target in targets {
      cells.append([
        target.measure, target.against, figure(target.ratio.median),
        "\(figure(target.ratio.least)) – \(figure(target.ratio.most))", figure(target.atMost),
        target.isMet ? "met" : "not met",
      ])
    }
    return markdown(cells)
  }
}

/// Three digits or so.
func figure(_ value: Double) -> String {
  switch abs(value) {
  case ..<9.995: String(format: "%.2f", value)
  case ..<99.95: String(format: "%.1f", value)
  default: String(format: "%.0f", value)
  }
}

func range(_ spread: Spread) -> String {
  "\(figure(spread.median)) (\(figure(spread.least))–\(figure(spread.most)))"
}

/// Cells as a table; the first row is the head. Columns of figures stand to the right.
private func markdown(_ cells: [[String]]) -> String {
  let widths = cells[0].indices.map { column in max(3, cells.map { $0[column].count }.max() ?? 0) }
  let isText = cells[0].indices.map { column in
    column < 2 || cells.dropFirst().allSatisfy { Double($0[column].prefix { $0 != " " }) == nil }
  }
  func line(_ row: [String]) -> String {
    let padded = row.indices.map { column in
      let space = String(repeating: " ", count: widths[column] - row[column].count)
      return isText[column] ? row[column] + space : space + row[column]
    }
    return "| " + padded.joined(separator: " | ") + " |"
  }
  let rule = widths.indices.map { column in
    String(repeating: "-", count: widths[column] - (isText[column] ? 0 : 1)) + (isText[column] ? "" : ":")
  }
  return ([line(cells[0]), "| " + rule.joined(separator: " | ") + " |"] + cells.dropFirst().map(line))
    .joined(separator: "\n")
}
