/// What a heap is made from.
public struct HeapConfiguration: Sendable {
  /// The nodes that memory is divided into.
  public var topology: Topology
  /// The most bytes that may be committed to slabs, runs and page stacks at once.
  public var limit: Int
  /// `nil`: the environment's, or the best that the machine has.
  public var mode: BindingMode?
  /// Bytes of address space for each node, rounded up to a power of two; halved while the system refuses. 0: twice the
  /// machine's memory. Not used where memory is given.
  public var windowBytes: Int
  /// Memory for everything, the heap's own words too; `nil`: from the operating system. On Linux a heap takes some address space besides,
  /// which is never written and has no memory behind it.
  ///
  /// A kernel gives its first range here and further ones with `Heap.addRegion`.
  public var memory: Memory?

  /// A range of memory that the caller gives and does not touch again.
  @safe
  public struct Memory: Sendable {
    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    let bytes: Int

    /// > Safety: the range is readable, writable and nobody else's, as long as the heap exists.
    @unsafe
    public init(_ base: UnsafeMutableRawPointer, bytes: Int) {
      unsafe self.base = base
      self.bytes = bytes
    }
  }

  /// One node, the system's memory, no limit, the best mode. `Topology.system` has the machine's nodes.
  public init() {
    topology = .single
    limit = .max
    mode = nil
    windowBytes = 0
    memory = nil
  }
}
