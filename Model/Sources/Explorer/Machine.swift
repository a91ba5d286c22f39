// The state of the simulated machine: what every other file of this module works on.
//
// One machine, one real thread. Simulated threads are coroutines: an atomic operation of the code under test calls
// `km_…`, which may go on with another simulated thread before it takes effect. Everything here is plain data behind one
// pointer, without classes or arrays, because a thread is left in the middle of a call whenever an execution is cut short,
// and nothing must be left owned by a stack that is never returned to.

import KAllocAtomics

/// A vector clock: how many operations of each thread are known to have happened. Lane 3 is the fourth thread's.
typealias Clock = SIMD4<UInt32>

extension SIMD4 where Scalar == UInt32 {
  static let never = Clock(repeating: .max)

  @inline(__always)
  mutating func join(_ other: Clock) { replace(with: other, where: other .> self) }

  @inline(__always)
  func contains(_ thread: Int, _ time: UInt32) -> Bool { time <= self[thread] }
}

@inline(__always)
func mix(_ hash: UInt64, _ value: UInt64) -> UInt64 {
  var x = (hash ^ value) &* 0x9e37_79b9_7f4a_7c15
  x ^= x >> 29
  x = x &* 0xbf58_476d_1ce4_e5b9
  return x ^ (x >> 32)
}

@inline(__always)
func mix(_ hash: UInt64, _ clock: Clock) -> UInt64 {
  mix(mix(hash, UInt64(clock[0]) | UInt64(clock[1]) << 32), UInt64(clock[2]) | UInt64(clock[3]) << 32)
}

/// One store, as the later loads may find it.
struct Message {
  var value: UInt64
  /// What a load with acquire learns.
  var release: Clock
  /// The same by acquire and release alone: see `Thread.ordered`.
  var ordered: Clock
  /// When each thread first wrote or read it: from then on nothing older is left for those who know of that moment.
  var seen: Clock
}

/// A word that is touched by atomic operations.
struct Location {
  let address: UInt
  let size: UInt32
  /// Whether two threads were ever found at it, one of them writing, and acquire and release did not order them: only
  /// then is an access a point at which another thread may run, and only then are old values kept.
  var isShared = false
  /// The execution that the rest belongs to.
  var epoch: UInt32 = 0
  /// Of a word that is not shared: the last write, and the reads since.
  var writer: UInt8 = 0
  var written: UInt32 = 0
  var reads = Clock.zero
  /// The newest message that a sequentially consistent access wrote or read.
  var lastConsistent = 0
  var count = 0
  var capacity = 0
  var messages: UnsafeMutablePointer<Message>! = nil
  var hash: UInt64 = 0
}

/// Eight bytes of plain memory: who wrote them last and who has read them since.
struct Cell {
  let address: UInt
  var epoch: UInt32 = 0
  var writer: UInt8 = 0
  var written: UInt32 = 0
  var reads = Clock.zero
  var hash: UInt64 = 0
}

struct Thread {
  var stack: UnsafeMutableRawPointer?
  var clock = Clock.zero
  /// What acquire and release order before this moment, without what context switches and barriers do: those might as
  /// well have come at another moment.
  var ordered = Clock.zero
  /// What a fence with acquire would learn, and what relaxed stores publish since a fence with release.
  var unacquired = Clock.zero
  var released = Clock.zero
  /// Stands for the thread's own state, which is a function of what its operations returned.
  var history: UInt64 = 0
  var finished = false
  /// Before its first operation on a shared word.
  var isFresh = true
  var cpu = 0
  /// Inside a restartable section, and whether that has been aborted.
  var inSection = false
  var isAborted = false
}

/// How an execution came to an end.
enum Outcome {
  case running
  case completed
  /// It reached a state that has been explored before.
  case pruned
  /// A word turned out to be shared: the exploration begins again, with it as a point of choice.
  case discovery
  case failed
}

/// A point with more than one way on.
struct Choice {
  var chosen: UInt16
  let options: UInt16
}

/// A part of a schedule: `thread` executes `operations` operations, and the last of them takes way `choice`.
public struct Step: Equatable {
  public var thread: Int
  public var operations: Int
  public var choice: Int
}

/// Memory that is restored before the next execution.
struct Saved {
  let address: UInt
  let value: UInt64
  let size: UInt32
}

struct Block {
  var low: UInt
  var high: UInt
  var thread: Int
}

struct Machine {
  static let maximumThreads = 4
  /// Beyond so many operations an execution is taken for one without end.
  static let maximumOperations = 50_000

  var locations = Table<Location>()
  var cells = Table<Cell>()
  var threads = UnsafeMutablePointer<Thread>.allocate(capacity: maximumThreads)
  var threadCount = 0
  var current = 0
  var epoch: UInt32 = 1
  var outcome = Outcome.running
  var operations = 0
  var explorerStack: UnsafeMutableRawPointer?

  // The search.
  var isChecking = false
  var choices = Stack<Choice>()
  var depth = 0
  var prefix = 0
  /// Preemptions and stale reads that are left; `.max`: without bound.
  var preemptions = 0
  var staleReads = 0
  var visited = Visited()
  var usesFences = false
  var fenceClock = Clock.zero

  // What is recorded, and what is replayed.
  var steps = Stack<Step>()
  var stepStart = 0
  var isReplaying = false
  var replay = Stack<Step>()
  var replayIndex = 0
  var replayLeft = 0
  var hasYielded = false
  var report = UnsafeMutablePointer<UInt8>.allocate(capacity: 160)
  var events = Stack<Event>()
  var failure: StaticString = ""
  var failureDetail: UInt64 = 0
  var hasDetail = false

  // Memory.
  var saved = Stack<Saved>()
  var blocks = Stack<Block>()
  var initialBlocks = Stack<Block>()
  var ranges = Stack<RangeWrite>()
  var plainHash: UInt64 = 0
  var locationHash: UInt64 = 0
  var cpuClocks = UnsafeMutablePointer<Clock>.allocate(capacity: maximumThreads)

  // The system.
  var arenaNext = UInt(KM_ARENA_BASE)
  var cpuLimit: UInt32 = 2
  var milliseconds: UInt64 = 0
  var commitMayFail = false
  var barriersAllowed = Int.max
  var barriersMade = 0
  var migrates = false
  /// Where what a scenario does while it is made takes place: the CPU, and in `thread` mode the slot.
  var preparingCPU = 0
}

/// The machine. Set up by `prepareMachine` before anything else.
@inline(__always)
var machine: UnsafeMutablePointer<Machine> {
  km_machine_address().unsafelyUnwrapped.assumingMemoryBound(to: Machine.self)
}

/// Makes the machine; once.
public func prepareMachine() {
  if km_machine_address() != nil { return }
  guard km_prepare() else { fatalError("the arena's address range is in use") }
  let memory = UnsafeMutablePointer<Machine>.allocate(capacity: 1)
  memory.initialize(to: Machine())
  for thread in 0..<Machine.maximumThreads {
    (memory.pointee.threads + thread).initialize(to: Thread())
    (memory.pointee.cpuClocks + thread).initialize(to: .zero)
  }
  km_set_machine(memory)
}
