import Glibc
import KAlloc
import Slab

// Bytes as a program. The first two make the first heap; then each operation is one byte that names it and the bytes that it
// takes. Every operation is possible at any time, so that no input is wasted: where it needs a block and there is none,
// nothing happens.
//
// At the end everything is given back and trimmed: every heap must be empty, sound, and possible to destroy.
//
// Seen to fail: with `zero: false` for large blocks in `Heap.tryAllocate` it found from no corpus, in 35 seconds and 9000
// inputs, a zeroed run that lies where one was freed (Corpus/zeroed-run-of-used-frames); with 3600 bytes for class 26 in
// `SizeClass.bytes` in 18 seconds from no corpus (Corpus/object-of-class-26), in 5 to 9 from the rest of the corpus, that
// blocks have the wrong size; with `extend` of a layout padded to its own alignment after 34 inputs.
//
// Not here: threads, which have no order that a naive oracle could know; and the words of `Slab/Words`, of which each is
// one instruction.

struct Interpreter {
  var input: Input
  var oracle = Oracle()
  /// The global heap first; `nil`: destroyed.
  var heaps: [TestedHeap?] = [TestedHeap(heap: .global)]
  /// Page regions by themselves.
  var world: PageWorld?

  /// A heap and what may be expected of it.
  struct TestedHeap {
    var heap: Heap
    /// The memory that was given to it, and its size.
    var memory: UnsafeMutableRawPointer?
    var memoryBytes = 0
    /// What was added later, as long as the other.
    var added: [UnsafeMutableRawPointer] = []
    var isLimited = false
    var hasRelabelled = false
    /// Whether a request may be refused.
    var mayRefuse: Bool { isLimited || memory != nil }
  }

  static let mostBlocks = 384
  static let mostBytes = 48 << 20
  static let addedBytes = 3 << 20
  private static let traces = getenv("KFUZZ_TRACE") != nil

  init(_ input: Input) { self.input = input }

  mutating func run() {
    createHeap()
    while !input.isAtEnd { step() }
    end()
  }

  private mutating func step() {
    // Inputs of the corpus keep their meaning: what came later has the highest bytes.
    let code = input.byte()
    let operation = code < 225 ? code % 25 : 25 + code % 6
    let index = input.below(heaps.count)
    trace("operation \(operation) on heap \(index), \(oracle.blocks.count) blocks live")
    guard let tested = heaps[index] else { return createHeap(at: index) }
    switch operation {
    case 0...2: allocate(index, tested)
    case 3, 4: allocateFully(index, tested)
    case 5...8: deallocate()
    case 9, 10: reallocate()
    case 11: reallocateUnsized()
    case 12, 13: allocatePages(index, tested)
    case 14: reclaim(tested)
    case 15: setLimit(index, tested)
    case 16: inspect(index, tested)
    case 17: if index > 0 { destroyHeap(index) } else { createHeap() }
    case 18: refuseOddities(tested)
    case 19: allocateByLayout(index, tested)
    case 20: reallocateByLayout()
    case 21: useFunctions()
    case 22: useVector(tested)
    case 23: allocateObject(index, tested)
    case 24: relabel()
    case 25: compute()
    case 26: useAllocator(index, tested)
    case 27: addMemory(index, tested)
    default: usePages()
    }
  }

  func trace(_ what: @autoclosure () -> String) { if Self.traces { report("  \(what())\n") } }

  // MARK: Heaps

  private mutating func createHeap(at place: Int? = nil) {
    guard heaps.count < 4 || place != nil else { return }
    var tested = TestedHeap(heap: .global)
    var configuration = HeapConfiguration()
    let shape = input.byte()
    configuration.mode = [.rseq, .thread, .shared][shape % 3]
    configuration.windowBytes = 256 << 20
    if shape & 0xC0 == 0xC0 {
      tested.memoryBytes = 16 << 20
      tested.memory = pages(tested.memoryBytes)
      configuration.memory = .init(tested.memory!, bytes: tested.memoryBytes)
    }
    do {
      if tested.memory == nil { configuration.topology = try .simulated(nodes: 1 + shape >> 2 & 3) }
      tested.heap = try Heap.create(configuration)
    } catch {
      fail("a heap of shape \(shape) is refused: \(error)")
    }
    if let place { heaps[place] = tested } else { heaps.append(tested) }
  }

  func pages(_ bytes: Int) -> UnsafeMutableRawPointer {
    mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
  }

  private mutating func destroyHeap(_ index: Int) {
    guard let tested = heaps[index] else { return }
    while let block = oracle.blocks.firstIndex(where: { $0.heap == index }) { free(block, form: 0) }
    tested.heap.limit = .max
    _ = tested.heap.trim()
    requireSound(tested.heap, "before its end")
    let left = tested.heap.committedBytes
    require(left == 0, "heap \(index) keeps \(left) bytes after everything was given back and trimmed")
    require(tested.heap.destroy(), "heap \(index) cannot be destroyed")
    if let memory = tested.memory { munmap(memory, tested.memoryBytes) }
    for memory in tested.added { munmap(memory, Self.addedBytes) }
    heaps[index] = nil
  }

  func requireSound(_ heap: Heap, _ when: String) {
    if let wrong = heap.validate() { fail("validate \(when): \(wrong)") }
  }

  private mutating func end() {
    endPages()
    for index in heaps.indices.dropFirst() { destroyHeap(index) }
    while !oracle.blocks.isEmpty { free(0, form: 0) }
    Heap.global.limit = .max
    _ = Heap.global.trim()
    requireSound(.global, "at the end")
    require(Heap.global.committedBytes == 0, "the global heap keeps \(Heap.global.committedBytes) bytes")
  }

  // MARK: What may be asked for

  /// A size that there is room for.
  mutating func size() -> Int {
    let size = input.size()
    return oracle.blocks.count < Self.mostBlocks && oracle.liveBytes + size < Self.mostBytes ? size : 1 + size & 15
  }

  mutating func flags() -> AllocFlags {
    let bits = input.byte()
    var flags: AllocFlags = bits & 1 != 0 ? .zero : []
    if bits & 6 != 0 { flags.formUnion(.reclaim) }
    for (bit, flag) in [(8, AllocFlags.useReserve), (16, .noWarn), (32, .retryMayFail), (64, .noRetry)]
    where bits & bit != 0 { flags.formUnion(flag) }
    return flags
  }

  /// A refusal must be allowed, and for want of memory.
  func requireMayRefuse(_ error: AllocError?, _ tested: TestedHeap, _ flags: AllocFlags, _ what: String) {
    let isShort = error == nil || [.limitExceeded, .outOfMemory, .wouldBlock].contains(error!)
    let isNode = error == .nodeUnavailable && flags.contains(.thisNode)
    require(isShort || isNode, "\(what): refused with \(error!)")
    let excused = tested.mayRefuse || !flags.contains(.reclaim) || isNode
    require(
      excused, "\(what): refused (\(error.map { "\($0)" } ?? "nil")) without a limit, \(oracle.liveBytes) bytes live")
  }

  mutating func pick(where suits: (Live) -> Bool = { _ in true }) -> Int? {
    guard !oracle.blocks.isEmpty else { return nil }
    let index = input.word() % oracle.blocks.count
    return suits(oracle.blocks[index]) ? index : nil
  }
}
