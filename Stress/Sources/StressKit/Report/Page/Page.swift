import Foundation

// The report as one page of HTML that needs nothing else: no script, no font, no picture from elsewhere.

/// A report with its graphs. Everything in it is taken from the report: the JSON has the same numbers.
struct Page {
  let report: Report

  init(_ report: Report) { self.report = report }

  var text: String {
    let title = "kstress, seed \(report.options.seed)"
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
      + "<title>\(title)</title>\n<style>\(Self.style)</style></head>\n<body><main>\n"
      + head + failures + verified
      + section("While it ran", throughput + memory + hitRates + freePages)
      + section("How long the calls took", latencies) + scenarios + soak + "</main></body></html>\n"
  }

  private func section(_ title: String, _ cards: String) -> String {
    cards.isEmpty ? "" : "<h2>\(title)</h2><div class=\"cards\">\(cards)</div>\n"
  }

  func card(_ title: String, _ note: String = "", _ body: String) -> String {
    "<figure><figcaption><b>\(title.escaped)</b> \(note.escaped)</figcaption>\(body)</figure>\n"
  }

  private func table(_ head: [String], _ rows: [[String]]) -> String {
    let cells = head.map { "<th>\($0.escaped)</th>" }.joined()
    // The column's name goes along: a phone shows a row as a block of its own.
    let lines = rows.map { row in
      "<tr>\(zip(head, row).map { "<td data-name=\"\($0.escaped)\">\($1.escaped)</td>" }.joined())</tr>"
    }.joined()
    return "<div class=\"wide\"><table><thead><tr>\(cells)</tr></thead><tbody>\(lines)</tbody></table></div>"
  }

  // MARK: Words and numbers

  private var head: String {
    let verdict =
      switch report.outcome {
      case .passed: "passed"
      case .interrupted: "interrupted; what was run passed"
      case .failed: "failed"
      }
    let traffic = report.traffic.map { ", mode \($0.mode), \($0.nodes) node\($0.nodes == 1 ? "" : "s")" } ?? ""
    var facts = [
      ("seed", "\(report.options.seed)"),
      ("allocator", report.allocator + traffic),
      ("time", "\(report.seconds.fixed(1)) s, CPU \(report.cpuSeconds.fixed(1)) s"),
      ("operations", "\(report.books.operations.grouped), \(Int(report.operationsPerSecond).grouped) a second"),
      ("peak resident", report.peakResidentBytes.bytes),
      ("again", report.command),
    ]
    if let machine = report.machine {
      facts.insert(
        ("machine", "\(machine.processor), \(machine.cpus) CPUs, \(machine.memory.bytes), \(machine.system)"), at: 2)
    }
    let list = facts.map { "<dt>\($0.escaped)</dt><dd>\($1.escaped)</dd>" }.joined()
    return "<header><h1>kstress <span class=\"\(report.outcome.rawValue)\">\(verdict)</span></h1>"
      + "<dl>\(list)</dl></header>\n"
  }

  private var failures: String {
    guard !report.failures.isEmpty else { return "" }
    let items = report.failures.map {
      "<li><b>\($0.kind.rawValue)</b> \($0.what.escaped)<br/><small>\($0.place.escaped)</small></li>"
    }
    return "<h2>\(report.failureCount) failures</h2><ul class=\"failures\">\(items.joined())</ul>\n"
  }

  private var verified: String {
    let books = report.books
    let tiles = [
      (books.blocksChecked + report.blocksCheckedAtRest, "blocks whose content was compared"),
      (books.bytesChecked, "bytes compared"),
      (
        books.allocated + books.reallocated, "blocks claimed, \(report.failures.count { $0.kind == .overlap }) overlaps"
      ),
      (books.live, "blocks live at the end: \(books.allocated.grouped) − \(books.freed.grouped)"),
      (report.quiescentPoints, "points at rest, books balanced"),
      (report.validations, "validations of the structures"),
    ]
    let items = tiles.map { "<li><b>\($0.grouped)</b> \($1.escaped)</li>" }.joined()
    return "<h2>Verified</h2><ul class=\"tiles\">\(items)</ul>\n"
  }

  private var scenarios: String {
    let rows = report.scenarios.map {
      [
        $0.name, $0.books.operations.grouped, Int($0.operationsPerSecond).grouped, $0.books.refused.grouped,
        "\($0.workers)", "\($0.phases)",
      ]
    }
    return "<h2>Scenarios</h2>"
      + table(["scenario", "operations", "a second", "refused", "workers", "phases"], rows) + "\n"
  }

  private var soak: String {
    guard let soak = report.soak else { return "" }
    let points = soak.samples.map { (x: $0.seconds / 60, y: Double($0.resident) / 1_048_576) }
    var chart = Chart(label: "resident at rest", series: [Series(name: "resident", points: points)], y: Self.mebibytes)
    chart.x = { "\($0.tick) min" }
    return section("Soak", card("Resident at rest", soak.text, chart.svg))
  }

  static func mebibytes(_ value: Double) -> String { "\(value.tick) MiB" }

  private static let style = """
    :root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d1d1f;--soft:#5f6368;--rule:#e3e3df;--good:#146c43;--bad:#b3261e;
    --c0:#1f6fd1;--c1:#c2570c;--c2:#1a7f5a;--c3:#8a3ffc;--c4:#666}
    @media (prefers-color-scheme:dark){:root{--bg:#131417;--card:#1c1e22;--ink:#ececef;--soft:#a3a7ae;--rule:#33363c;
    --good:#6fd39b;--bad:#ff8a80;--c0:#6aa9ff;--c1:#ff9d52;--c2:#4fcf9b;--c3:#bd93ff;--c4:#aaa}}
    *{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
    main{max-width:1320px;margin:0 auto;padding:20px 16px 48px}h1{font-size:24px;margin:0 0 8px}
    h2{font-size:17px;margin:28px 0 10px}h1 span{font-weight:600}.passed{color:var(--good)}.failed,.interrupted{color:var(--bad)}
    dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:0}dt{color:var(--soft)}
    dd{margin:0;overflow-wrap:anywhere}
    .cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:14px}
    figure,.tiles li,.wide{background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:0;padding:12px}
    figcaption{margin-bottom:6px;color:var(--soft)}figcaption b{color:var(--ink)}
    .tiles{list-style:none;padding:0;margin:0;display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:10px}
    .tiles li{color:var(--soft)}.tiles b{display:block;color:var(--ink);font-size:17px;white-space:nowrap;font-variant-numeric:tabular-nums}
    svg{display:block;width:100%;height:auto}.grid{stroke:var(--rule)}.mark{stroke:var(--soft);stroke-dasharray:3 3}
    .tick{fill:var(--soft);font:12px system-ui,sans-serif}
    .line{fill:none;stroke:var(--s);stroke-width:1.75;stroke-linejoin:round}
    .area{fill:var(--s);opacity:.14}.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0 0;padding:0;
    font-size:13px;color:var(--soft)}.legend i{display:inline-block;width:12px;height:3px;margin:0 6px 4px 0;background:var(--s)}
    .dashed{stroke-dasharray:6 3}.legend i.dashed{background:linear-gradient(90deg,var(--s) 5px,#0000 5px 7px,var(--s) 7px)}
    .wide{overflow-x:auto;padding:4px 12px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
    th,td{padding:5px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
    tr:last-child td{border-bottom:0}
    th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500}.none{color:var(--soft)}
    @media(max-width:560px){.wide thead{display:none}.wide table,.wide tbody{display:block}
    .wide tr{display:grid;grid-template-columns:1fr 1.3fr 1.3fr;gap:2px 10px;padding:8px 0;border-bottom:1px solid var(--rule)}
    .wide tr:last-child{border-bottom:0}.wide td{padding:0;border:0;text-align:left}.wide td:first-child{grid-column:1/-1;font-weight:600}
    .wide td+td::before{content:attr(data-name);display:block;color:var(--soft);font-size:12px}}
    .failures{padding-left:18px;overflow-wrap:anywhere}.failures b{color:var(--bad)}
    """ + (0..<Chart.colours).map { ".s\($0){--s:var(--c\($0))}" }.joined()
}
