import Foundation

/// The report as one page of HTML that needs nothing else. Colours follow the reader's light or dark setting.
struct Page {
  private let report: Report

  init(_ report: Report) { self.report = report }

  var text: String {
    let families = report.families.map { family in
      let rows = report.rows.filter { $0.family == family }
      let names = contenders(rows)
      let chart = family == "growth" ? curves(rows, names) : DotPlot(rows: rows, names: names).svg
      return """
        <h2>\(escaped(family))</h2>
        <p class="legend">\(names.map { "<span><i class=\"\(colour($0))\"></i>\(escaped($0))</span>" }.joined())</p>
        \(chart)
        <details><summary>Figures</summary>\(table(rows, names))</details>
        """
    }
    let warning = report.machine.warning.map { "<p class=\"warning\">\(escaped($0))</p>" } ?? ""
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
      <title>KAlloc beside its peers</title><style>\(Self.style)</style></head><body><main>
      <h1>KAlloc beside its peers</h1>
      <p>\(escaped(report.machine.text)). Medians of \(report.rounds) interleaved rounds of \(report.milliseconds) ms.</p>
      \(warning)
      <h2>targets</h2>
      \(targets)
      \(families.joined(separator: "\n"))
      </main></body></html>

      """
  }

  private func contenders(_ rows: [Row]) -> [String] {
    var names: [String] = []
    for entry in rows.flatMap(\.entries) where !names.contains(entry.contender) { names.append(entry.contender) }
    return names
  }

  private var targets: String {
    let rows = report.targets.map { target in
      let verdict = target.isMet ? "met" : "not met"
      return """
        <tr><td>\(escaped(target.measure))</td><td>\(escaped(target.against))</td><td>\(range(target.ratio))</td>\
        <td>\(figure(target.atMost))</td><td class="\(target.isMet ? "met" : "missed")">\(verdict)</td></tr>
        """
    }
    return """
      <div class="scroll"><table><tr><th>measure</th><th>against</th><th>ratio (least–most)</th><th>at most</th><th></th></tr>
      \(rows.joined(separator: "\n"))</table></div>
      """
  }

  private func table(_ rows: [Row], _ names: [String]) -> String {
    let head = names.map { "<th>\(escaped($0))</th>" }.joined()
    let lines = rows.map { row in
      let cells = names.map { name in
        let title = row[name].map { entry in
          entry.ratios.sorted { $0.key < $1.key }.map { "\($0.key) × \(range($0.value))" }.joined(separator: "\n")
        }
        return "<td title=\"\(escaped(title ?? ""))\">\(row[name].map { range($0.spread) } ?? "")</td>"
      }
      return "<tr><td>\(escaped(row.title))</td><td>\(escaped(row.figure.unit))</td>\(cells.joined())</tr>"
    }
    return """
      <div class="scroll"><table><tr><th></th><th>unit</th>\(head)</tr>
      \(lines.joined(separator: "\n"))</table></div>
      """
  }

  /// One chart for each series; a name is SERIES/AMOUNT.
  private func curves(_ rows: [Row], _ names: [String]) -> String {
    var series: [String] = []
    for row in rows {
      let name = String(row.workload.prefix { $0 != "/" })
      if !series.contains(name) { series.append(name) }
    }
    return series.map { name in
      CurvePlot(title: name, rows: rows.filter { $0.workload.hasPrefix(name + "/") }, names: names).svg
    }.joined(separator: "\n")
  }

  private static let style = """
    :root { color-scheme: light dark; --page: #fbfbfa; --ink: #1c1c1a; --soft: #6b6b66; --line: #dcdcd6;
      --c0: #0b4f9e; --c1: #2f8fe0; --c2: #12a594; --c3: #77776f; --c4: #c2410c; --c5: #b58900; --c6: #b0458f; }
    @media (prefers-color-scheme: dark) { :root { --page: #171816; --ink: #ecece6; --soft: #a0a099; --line: #383a36;
      --c0: #8ab8f5; --c1: #3d93e8; --c2: #2fc4b2; --c3: #a3a39b; --c4: #f0793f; --c5: #e0b83a; --c6: #e082c2; } }
    body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0; }
    main { max-width: 1000px; margin: 0 auto; padding: 24px 16px 64px; }
    h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 40px; text-transform: capitalize; }
    table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
    th, td { padding: 3px 10px; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
    .scroll { overflow-x: auto; } .warning, .missed { color: var(--c4); font-weight: 600; } .met { color: var(--c2); }
    .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; }
    .legend i { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px; }
    svg { display: block; width: 100%; height: auto; margin: 8px 0 16px; } summary { cursor: pointer; color: var(--soft); }
    svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
    svg .grid { stroke: var(--line); } svg .one { stroke: var(--soft); stroke-width: 1.5; }
    \((0...6).map { ".c\($0) { --own: var(--c\($0)); }" }.joined(separator: " "))
    i[class^=c] { background: var(--own); } svg [class^=c] { fill: var(--own); stroke: var(--own); }
    svg polyline[class^=c] { fill: none; stroke-width: 2; }
    """
}

/// The class of a contender's colour: the same in every chart.
func colour(_ contender: String) -> String {
  switch contender {
  case "kalloc inlined", "KVec, KBox": "c0"
  case "kalloc called": "c1"
  case "libkalloc.so": "c2"
  case "glibc", "Array, class": "c3"
  case "jemalloc", "UniqueArray": "c4"
  case "mimalloc": "c5"
  default: "c6"
  }
}

func escaped(_ text: String) -> String {
  text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
}
