// What must hold whenever all workers are at rest.

extension Runner {
  /// The conservation laws, every live block, and the allocator's own structures.
  func check(_ scenario: any Scenario<Tested>, _ name: ScenarioName, _ phase: Int, _ report: inout Report) {
    guard run.failures.isEmpty else { return }
    func fail(_ kind: Failure.Kind, _ what: String) { run.fail(kind, what, scenario: name.rawValue, phase: phase) }

    let books = scenario.workers.reduce(Ledger()) { $0 + $1.ledger }
    var (blocks, bytes, granules) = (0, 0, 0)
    scenario.forEachLive { block in
      blocks += 1
      bytes += block.size
      granules += ShadowMap.granules(block.address, block.size)
      guard block.stamp != 0 else { return }
      if let wrong = Stamp.firstWrongByte(block.stamp, in: block.pointer, size: block.size) {
        fail(.content, "at rest, \(block.description): byte \(wrong) changed")
      }
    }
    report.blocksCheckedAtRest += blocks
    report.quiescentPoints += 1
    if books.live != blocks {
      fail(.conservation, "allocated \(books.allocated) − freed \(books.freed) is not the \(blocks) blocks live")
    }
    if books.liveBytes != bytes {
      fail(.conservation, "the books have \(books.liveBytes) bytes live, the live blocks \(bytes)")
    }
    let held = run.shadow.heldGranules()
    if books.granulesHeld != granules || held != granules {
      fail(.conservation, "\(granules) granules are live, the books have \(books.granulesHeld), the map \(held)")
    }
    if let committed = run.allocator.committedBytes, committed < bytes {
      fail(.conservation, "\(bytes) bytes are live, but only \(committed) committed")
    }
    if let limit = run.options.limit, let committed = run.allocator.committedBytes, committed > limit {
      fail(.limit, "\(committed) bytes are committed under a limit of \(limit)")
    }
    if let wrong = run.allocator.validate() { fail(.structure, "validate: \(wrong)") }
    report.validations += 1
  }

  /// At the end of a run: what the start had committed, and no more.
  func checkReturned(to start: Int?, _ report: inout Report) {
    report.bytesTrimmed = run.allocator.trim()
    guard let start, let end = run.allocator.committedBytes else { return }
    report.committedAtStart = start
    report.committedAtEnd = end
    guard run.failures.isEmpty else { return }
    if end > start {
      run.fail(
        .leftover, "\(end) bytes are committed after everything was given back and trimmed; \(start) at the start",
        scenario: run.options.scenarios.joined(separator: ","), phase: 0)
    }
    if let wrong = run.allocator.validate() {
      run.fail(.structure, "validate at the end: \(wrong)", scenario: run.options.scenarios.last ?? "", phase: 0)
    }
  }
}
