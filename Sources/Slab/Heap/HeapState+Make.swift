// How a heap comes into being, and how it ends. Nothing here is seen by another thread before `publish`.

import KAllocAtomics

extension HeapState {
  /// The sizes of the parts of the state, from which their places follow.
  private struct Plan {
    let mode: BindingMode
    let topology: Topology
    let cpuCount: Int
    let regionCount: Int
    let magazineBytes: Int

    init(_ configuration: HeapConfiguration) {
      topology = configuration.topology
      mode = configuration.memory == nil ? BindingMode.possible(configuration.mode ?? BindingMode.forced) : .shared
      cpuCount = max(Int(ka_os_cpu_limit()), 1)
      switch mode {
      case .rseq: regionCount = cpuCount
      case .thread: regionCount = Int(KA_THREAD_SLOTS)
      case .shared: regionCount = 0
      }
      var last: StackInfo? = nil
      for index in 0..<StackIndex.count { last = StackInfo(StackIndex(rawValue: index), after: last) }
      // Where nobody has a stack nobody visits a depot.
      magazineBytes = mode == .shared ? 0 : last?.magazinesThrough ?? 0
    }

    // Offsets in the state's mapping.
    var handle: Int { 0 }
    var record: Int { (unsafe MemoryLayout<ka_heap>.size + 63) & ~63 }
    var control: Int { (unsafe record + MemoryLayout<Record>.size + 63) & ~63 }
    var nodes: Int { control + HeapState.controlWords * 64 }
    var nodeOfCPU: Int { nodes + topology.nodeCount * HeapState.nodeBytes }
    var nodeOrder: Int { nodeOfCPU + cpuCount }
    var infos: Int { (nodeOrder + topology.nodeCount * topology.nodeCount + 63) & ~63 }
    var direct: Int { infos + StackIndex.count * MemoryLayout<StackInfo>.stride }
    var magazines: Int { (direct + DirectMappings.bytes + 4095) & ~4095 }
    var bytes: Int { (magazines + magazineBytes * StackInfo.depotSlots * topology.nodeCount + 4095) & ~4095 }

    /// Regions for CPUs or slots, with the closed ones before them.
    static func regionBytes(_ count: Int) -> Int { (count + Int(KA_CLOSED_REGIONS)) * CPURegion.bytes }
  }

  /// Makes a heap's state. `handle`: of the global heap; `nil`: the state brings its own.
  ///
  /// Fails with `.outOfMemory` where address space or memory is refused; nothing is left behind then.
  static func make(
    _ configuration: HeapConfiguration, handle: UnsafeMutablePointer<ka_heap>?
  ) -> Result<HeapState, AllocError> {
    let plan = Plan(configuration)
    var source = MetadataSource(configuration.memory)
    guard let memory = unsafe source.take(plan.bytes) else { return .failure(.outOfMemory) }
    var state = unsafe layOut(plan, memory, handle, configuration)
    if let failure = state.takeRegions(plan, &source) ?? state.takeFrames(configuration, source) {
      unsafe state.dispose()
      return .failure(failure)
    }
    return .success(state)
  }

  /// Writes everything that needs no further memory.
  @unsafe
  private static func layOut(
    _ plan: Plan, _ memory: UnsafeMutableRawPointer, _ handle: UnsafeMutablePointer<ka_heap>?,
    _ configuration: HeapConfiguration
  ) -> HeapState {
    let own = unsafe (memory + plan.handle).bindMemory(to: ka_heap.self, capacity: 1)
    let infos = unsafe (memory + plan.infos).bindMemory(to: StackInfo.self, capacity: StackIndex.count)
    var last: StackInfo? = nil
    for index in 0..<StackIndex.count {
      let info = StackInfo(StackIndex(rawValue: index), after: last)
      unsafe (infos + index).initialize(to: info)
      last = info
    }
    let record = unsafe (memory + plan.record).bindMemory(to: Record.self, capacity: 1)
    unsafe record.initialize(
      to: Record(
        heap: handle ?? own, mode: plan.mode, topology: plan.topology, mapping: memory, mappingBytes: plan.bytes,
        regions: memory, regionCount: plan.regionCount, cpuCount: plan.cpuCount, outgoing: nil, windows: 0,
        windowShift: 63, growsByOS: configuration.memory == nil, infos: infos,
        control: WordArray(memory + plan.control), nodes: memory + plan.nodes,
        nodeOfCPU: (memory + plan.nodeOfCPU).assumingMemoryBound(to: UInt8.self),
        nodeOrder: (memory + plan.nodeOrder).assumingMemoryBound(to: UInt8.self),
        magazines: memory + plan.magazines, magazineBytes: plan.magazineBytes,
        direct: WordArray(memory + plan.direct)))
    let state = unsafe HeapState(record)
    state.control(.limit).storeRelaxed(UInt64(max(configuration.limit, 0)))
    for cpu in 0..<plan.cpuCount {
      unsafe record.pointee.nodeOfCPU[cpu] = UInt8(plan.topology.node(ofCPU: cpu).rawValue)
    }
    for node in 0..<plan.topology.nodeCount {
      unsafe orderNodes(plan.topology, from: node, into: record.pointee.nodeOrder + node * plan.topology.nodeCount)
      for stack in 0..<StackIndex.withDepot {
        state.depot(state.info(StackIndex(rawValue: stack)), on: NodeIndex(node)).initialise()
      }
    }
    return state
  }

  /// All nodes, nearest first; equally near ones by number.
  @unsafe
  private static func orderNodes(_ topology: Topology, from node: Int, into order: UnsafeMutablePointer<UInt8>) {
    for candidate in 0..<topology.nodeCount {
      let distance = candidate == node ? -1 : topology.distance(NodeIndex(node), NodeIndex(candidate))
      var place = candidate
      while place > 0 {
        let before = unsafe Int(order[place - 1])
        if before == node || topology.distance(NodeIndex(node), NodeIndex(before)) <= distance { break }
        unsafe order[place] = order[place - 1]
        place -= 1
      }
      unsafe order[place] = UInt8(candidate)
    }
  }

  /// The regions of the CPUs or slots, and, in the modes in which the inlined path must find nothing, closed ones.
  private mutating func takeRegions(_ plan: Plan, _ source: inout MetadataSource) -> AllocError? {
    let closed = Int(KA_CLOSED_REGIONS) * CPURegion.bytes
    if plan.regionCount > 0 {
      guard let own = unsafe source.take(Plan.regionBytes(plan.regionCount)) else { return .outOfMemory }
      unsafe record.pointee.regionsMapping = own
      unsafe record.pointee.regions = own + closed
      if plan.mode == .rseq { writeFirst(plan.cpuCount) }
    }
    unsafe record.pointee.front = record.pointee.regions
    #if os(Linux)
      // Only read, so that no memory is ever behind it: address space, also where the frames are in a range that was given. Where
      // there is no Linux there are no sections that would read it.
      if plan.mode != .rseq {
        let bytes = Plan.regionBytes(plan.cpuCount)
        guard let front = unsafe ka_os_reserve(bytes, Int(KA_OS_PAGE_BYTES)) else { return .outOfMemory }
        unsafe record.pointee.frontMapping = front
        guard unsafe ka_os_read_only(front, bytes) else { return .outOfMemory }
        unsafe record.pointee.front = front + closed
      }
    #endif
    if plan.topology.nodeCount > 1 && plan.regionCount > 0 && outgoing.capacity >= 2 {
      let bytes = Plan.regionBytes(plan.regionCount)
      guard let memory = unsafe source.take(bytes + CPURegion.bytes) else { return .outOfMemory }
      let handle = unsafe (memory + bytes).bindMemory(to: ka_heap.self, capacity: 1)
      unsafe handle.initialize(
        to: ka_heap(regions: memory + closed, state: nil, window_base: 0, window_frames: 0, owners: nil))
      unsafe record.pointee.outgoingMapping = memory
      unsafe record.pointee.outgoing = handle
    }
    return nil
  }

  /// Writes the first word of the first CPUs' regions. An operation would look at it first, and the kernel show it a page of zeros; to
  /// put another in its place, when something is written, it interrupts every CPU that the process runs on, which takes
  /// milliseconds where those are virtual.
  private func writeFirst(_ cpus: Int) {
    for cpu in 0..<min(cpus, 16) { region(cpu).gate.storeRelaxed(CPURegion.open) }
  }

  /// Memory for frames: a window for each node, or what is left of the given range.
  private mutating func takeFrames(_ configuration: HeapConfiguration, _ source: MetadataSource) -> AllocError? {
    if let rest = source.rest { return addRegion(rest, node: NodeIndex(0)) }
    var wanted = configuration.windowBytes
    if wanted <= 0 { wanted = Int(truncatingIfNeeded: min(ka_os_physical_bytes() * 2, 1 << 46)) }
    var shift = HeapState.smallestWindowShift
    while shift < 46 && 1 << shift < wanted { shift += 1 }
    while let failure = takeWindows(shift: shift) {
      // Address space is short (RLIMIT_AS) or strictly accounted: half as much may do.
      shift -= 1
      if shift < HeapState.smallestWindowShift { return failure }
    }
    return nil
  }

  /// 16 MiB.
  private static let smallestWindowShift = 24

  private mutating func takeWindows(shift: Int) -> AllocError? {
    let bytes = nodeCount << shift
    guard let base = unsafe ka_os_reserve(bytes, 1 << shift) else { return .outOfMemory }
    unsafe record.pointee.windows = UInt(bitPattern: base)
    unsafe record.pointee.windowShift = shift
    unsafe ka_os_blocks_begin(base, bytes)
    for node in 0..<nodeCount {
      let window = unsafe base + node << shift
      if topology.isReal {
        // A refusal leaves the kernel's own policy: first touch.
        _ = unsafe ka_os_bind(window, 1 << shift, UInt32(node), false)
      }
      switch unsafe makeRegion(window, 1 << shift, NodeIndex(node)) {
      case .success(let region): pages(NodeIndex(node)).add(region)
      case .failure(let failure):
        unsafe disposeRegions()
        return failure
      }
    }
    return nil
  }

  /// A region over address space, with its table; nothing is left behind where it fails.
  @unsafe
  private func makeRegion(
    _ base: UnsafeMutableRawPointer, _ bytes: Int, _ node: NodeIndex
  ) -> Result<PageRegion, AllocError> {
    let made = unsafe PageRegion.make(base: base, bytes: bytes, node: node, backing: .reserved)
    guard case .success(let region) = made else { return made }
    guard let memory = unsafe SlabTable.map(frames: region.blocks * Frames.perBlock) else {
      region.destroy()
      return .failure(.outOfMemory)
    }
    _ = unsafe SlabTable.make(region, in: memory, classes: record.pointee.infos, mapped: true)
    return .success(region)
  }

  /// Adds a range that the caller gives. Its metadata is carved from its front. Returns why not; `nil`: it is added.
  func addRegion(_ memory: HeapConfiguration.Memory, node: NodeIndex) -> AllocError? {
    guard node.rawValue >= 0, node.rawValue < nodeCount else { return .nodeUnavailable }
    var source = MetadataSource(memory)
    let blocks = memory.bytes / (Frames.perBlock * Frames.bytes) + 2
    guard let table = unsafe source.take(SlabTable.bytes(frames: blocks * Frames.perBlock)), let rest = source.rest
    else { return .outOfMemory }
    switch unsafe PageRegion.make(base: rest.base, bytes: rest.bytes, node: node, backing: .given) {
    case .failure(let failure): return failure
    case .success(let region):
      _ = unsafe SlabTable.make(region, in: table, classes: record.pointee.infos, mapped: false)
      pages(node).add(region)
      return nil
    }
  }

  /// Lets frees without a size find the owner bytes, where there is one window.
  private func publishWindow() {
    guard nodeCount == 1, growsByOS, let region = pages(NodeIndex(0)).first else { return }
    let frames = region.blocks * Frames.perBlock
    if region.origin < UInt(frames << Frames.usualShift) { return }
    unsafe AtomicWord(ka_heap_base_word(heap)).storeRelaxed(UInt64(region.origin))
    let owners = unsafe UInt(bitPattern: SlabTable(of: region).owners.base)
    unsafe AtomicWord(ka_heap_owners_word(heap)).storeRelaxed(UInt64(owners))
    // (W) release: base and owners are there for who sees the frames.
    unsafe AtomicWord(ka_heap_frames_word(heap)).storeRelease(UInt64(frames))
  }

  /// Lets the inlined path find the regions. Once, by the thread whose state won.
  func publish() {
    publishWindow()
    // Relaxed: `ka_rseq_adopt` releases, and a section reads the area's offset first; closed regions need no order.
    unsafe AtomicWord(ka_heap_regions_word(heap)).storeRelaxed(UInt64(UInt(bitPattern: record.pointee.front)))
    if mode == .rseq { ka_rseq_adopt() }
  }

  // MARK: The end

  /// Gives back everything that `make` took. Externally synchronised: nobody uses the heap any more.
  @unsafe
  func dispose() {
    let record = unsafe record.pointee
    if let front = unsafe record.frontMapping { unsafe ka_os_unmap(front, Plan.regionBytes(record.cpuCount)) }
    if unsafe !record.growsByOS { return }
    unsafe disposeRegions()
    if let outgoing = unsafe record.outgoingMapping {
      unsafe ka_os_unmap(outgoing, Plan.regionBytes(record.regionCount) + CPURegion.bytes)
    }
    if let regions = unsafe record.regionsMapping { unsafe ka_os_unmap(regions, Plan.regionBytes(record.regionCount)) }
    unsafe ka_os_unmap(record.mapping, record.mappingBytes)
  }

  /// The windows with their metadata.
  @unsafe
  private func disposeRegions() {
    for node in 0..<nodeCount {
      // The next one first: a region's link lies in what `destroy` unmaps.
      var regions = pages(NodeIndex(node)).regions
      var region = regions.next()
      while let ended = region {
        region = regions.next()
        unsafe SlabTable(of: ended).dispose()
        ended.destroy()
      }
      nodeWord(NodeIndex(node), .pages).storeRelaxed(0)
    }
    if unsafe record.pointee.windows != 0,
      let base = unsafe UnsafeMutableRawPointer(bitPattern: record.pointee.windows)
    {
      unsafe ka_os_blocks_end(base, nodeCount << record.pointee.windowShift)
      unsafe ka_os_unmap(base, nodeCount << record.pointee.windowShift)
      // Not again in `dispose`, where no smaller window was to be had: the addresses may be another's by then.
      unsafe record.pointee.windows = 0
    }
  }
}
