import Foundation
import Testing

@testable import StressKit

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Notes what an XML parser finds.
private final class Elements: NSObject, XMLParserDelegate {
  var text = ""
  var names: [String: Int] = [:]
  var attributes: [(String, String)] = []

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes given: [String: String]
  ) {
    names[name, default: 0] += 1
    attributes += given.map { ($0.key, $0.value) }
  }

  func parser(_ parser: XMLParser, foundCharacters found: String) { text += found }
}

private func elements(_ html: String) throws -> Elements {
  let found = Elements()
  let parser = XMLParser(data: Data(html.replacing("<!DOCTYPE html>", with: "").utf8))
  parser.delegate = found
  try #require(
    parser.parse(), "not well-formed at line \(parser.lineNumber): \(String(describing: parser.parserError))")
  return found
}

private func report() -> Report {
  var options = RunOptions()
  options.scenarios = ["churn", "pages"]
  options.operations = 4000
  options.threads = 2
  options.seed = 99
  var report = Runner(FaultyAllocator(fault: .none), options).makeRun()
  report.machine = .current
  report.samples = (0..<40).map { turn in
    Sample(
      seconds: Double(turn) / 4, operations: turn * 250_000, resident: (100 + turn) << 20, live: (10 + turn % 7) << 20,
      committed: 30 << 20, freePagesByOrder: (0..<10).map { 40 - $0 * 4 + turn % 3 },
      operationsByCPU: [turn * 130_000, turn * 120_000], missesByCPU: [turn * 900, turn * 1200])
  }
  return report
}

@Suite(.serialized) struct PageTests {
  @Test func `the page is well-formed, and needs nothing from elsewhere`() throws {
    let html = Page(report()).text
    let found = try elements(html)
    // Throughput, memory, hit rates, free pages, and one for each call.
    #expect(found.names["svg"] == 7)
    #expect(found.names["script"] == nil && found.names["link"] == nil && found.names["img"] == nil)
    #expect(!html.contains("http") && !html.contains("url(") && !html.contains("@import"))
    #expect(html.contains("prefers-color-scheme:dark") && html.contains("width=device-width"))
    #expect(!html.contains("nan") && !html.contains("inf "))
  }

  @Test func `its numbers are those of the JSON report`() throws {
    let report = report()
    let read = try JSONDecoder().decode(Report.self, from: try report.json())
    #expect(Page(read).text == Page(report).text)
    let text = try elements(Page(report).text).text
    let books = read.books
    for number in [
      books.operations, books.bytesChecked, books.blocksChecked + read.blocksCheckedAtRest, books.allocated,
      read.quiescentPoints, read.validations,
    ] { #expect(text.contains(number.grouped), "\(number)") }
    #expect(text.contains("seed 99") && text.contains(read.command))
    for summary in [read.latency!.allocate, read.latency!.free, read.latency!.reallocate] {
      #expect(summary.buckets.reduce(0) { $0 + $1.count } == summary.count)
      #expect(text.contains("p99.99 \(Page.time(summary.p9999))"))
    }
    #expect(text.contains(read.machine!.processor))
  }

  @Test func `what a report quotes cannot become markup`() throws {
    var report = report()
    let nasty = "</title><script>alert('1' & \"2\")</script>"
    report.allocator = nasty
    report.failures = [Failure(kind: .content, what: nasty, scenario: nasty)]
    report.failureCount = 1
    report.outcome = .failed
    let found = try elements(Page(report).text)
    #expect(found.names["script"] == nil)
    #expect(found.text.components(separatedBy: nasty).count >= 3)
  }

  @Test func `a run too short to draw still makes a page`() throws {
    var report = report()
    report.samples = []
    #expect(try elements(Page(report).text).names["svg"] == 3)
    report.samples = nil
    report.latency = nil
    #expect(try elements(Page(report).text).names["svg"] == nil)
  }

  @Test(arguments: [(0.0, 1.0), (0, 0.07), (3, 977), (0, 4e6), (99.2, 100)])
  func `axes have a few round ticks within their range`(_ low: Double, _ high: Double) {
    let ticks = Chart.ticks(from: low, to: high)
    #expect((3...7).contains(ticks.count), "\(ticks)")
    #expect(ticks.allSatisfy { $0 >= low && $0 <= high * 1.000001 && $0.tick.count <= 8 }, "\(ticks)")
  }

  @Test(arguments: [
    (UInt64(0), "0 ns"), (999, "999 ns"), (1500, "1.5 µs"), (81_234, "81 µs"), (201_763_082, "202 ms"),
    (3_000_000_000, "3 s"),
  ])
  func `durations are short`(_ nanoseconds: UInt64, _ text: String) { #expect(Page.time(nanoseconds) == text) }
}
