// Containers of plain data that a thread may be left inside of: see Machine.swift.

/// A growing row of trivial values.
struct Stack<Element> {
  private(set) var count = 0
  private var capacity = 0
  private(set) var base: UnsafeMutablePointer<Element>! = nil

  @inline(__always)
  subscript(index: Int) -> Element {
    get { base[index] }
    nonmutating set { base[index] = newValue }
  }

  @inline(__always)
  mutating func append(_ element: Element) {
    if count == capacity { grow() }
    (base + count).initialize(to: element)
    count += 1
  }

  @inline(never)
  private mutating func grow() {
    let larger = Swift.max(64, capacity * 2)
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: larger)
    if let base {
      memory.moveInitialize(from: base, count: count)
      base.deallocate()
    }
    base = memory
    capacity = larger
  }

  mutating func removeLast(_ number: Int = 1) { count -= number }
  mutating func removeAll() { count = 0 }
  var last: Element { base[count - 1] }

  var array: [Element] { (0..<count).map { base[$0] } }
}

/// Trivial values found by address. Elements keep their place in memory in the chunk that they were made in.
struct Table<Element> {
  private static var chunk: Int { 1024 }
  private(set) var count = 0
  private var keys: UnsafeMutablePointer<UInt>
  private var places: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>
  private var capacity = 1 << 12
  private var room = 0
  private var next: UnsafeMutablePointer<Element>! = nil
  private(set) var all = Stack<UnsafeMutablePointer<Element>>()

  init() {
    keys = .allocate(capacity: capacity)
    keys.initialize(repeating: 0, count: capacity)
    places = .allocate(capacity: capacity)
    places.initialize(repeating: nil, count: capacity)
  }

  @inline(__always)
  private static func slot(_ key: UInt, _ capacity: Int) -> Int {
    Int(truncatingIfNeeded: (UInt64(key) &* 0x9e37_79b9_7f4a_7c15) >> 40) & (capacity - 1)
  }

  @inline(__always)
  func find(_ key: UInt) -> UnsafeMutablePointer<Element>? {
    var slot = Table.slot(key, capacity)
    while true {
      if keys[slot] == key { return places[slot] }
      if keys[slot] == 0 { return nil }
      slot = (slot + 1) & (capacity - 1)
    }
  }

  @inline(never)
  mutating func insert(_ key: UInt, _ element: Element) -> UnsafeMutablePointer<Element> {
    if count * 2 >= capacity { grow() }
    if room == 0 {
      next = .allocate(capacity: Table.chunk)
      room = Table.chunk
    }
    let place: UnsafeMutablePointer<Element> = next
    place.initialize(to: element)
    next += 1
    room -= 1
    count += 1
    all.append(place)
    put(key, place)
    return place
  }

  private func put(_ key: UInt, _ place: UnsafeMutablePointer<Element>) {
    var slot = Table.slot(key, capacity)
    while keys[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
    keys[slot] = key
    places[slot] = place
  }

  private mutating func grow() {
    let (oldKeys, oldPlaces, oldCapacity) = (keys, places, capacity)
    capacity *= 4
    keys = .allocate(capacity: capacity)
    keys.initialize(repeating: 0, count: capacity)
    places = .allocate(capacity: capacity)
    places.initialize(repeating: nil, count: capacity)
    for slot in 0..<oldCapacity where oldKeys[slot] != 0 { put(oldKeys[slot], oldPlaces[slot]!) }
    oldKeys.deallocate()
    oldPlaces.deallocate()
  }
}

/// States that have been reached, by hash, each with the budget that was left there. A state reached again with no more
/// of it leads nowhere new.
///
/// Two states with the same 64 bits are taken for one: among ten million that happens with a chance of 3 in a million.
struct Visited {
  private var keys: UnsafeMutablePointer<UInt64>
  private var budgets: UnsafeMutablePointer<UInt16>
  private var capacity = 1 << 14
  private(set) var count = 0
  static let maximum = 1 << 25

  init() {
    keys = .allocate(capacity: capacity)
    keys.initialize(repeating: 0, count: capacity)
    budgets = .allocate(capacity: capacity)
    budgets.initialize(repeating: 0, count: capacity)
  }

  mutating func removeAll() {
    keys.deallocate()
    budgets.deallocate()
    self = Visited()
  }

  /// Whether the state needs no further look; notes it otherwise.
  mutating func covers(_ hash: UInt64, preemptions: Int, staleReads: Int) -> Bool {
    let key = hash == 0 ? 1 : hash
    let mine = (UInt16(min(preemptions, 255)), UInt16(min(staleReads, 255)))
    var slot = Int(truncatingIfNeeded: key) & (capacity - 1)
    while keys[slot] != 0 {
      if keys[slot] == key {
        let found = (budgets[slot] >> 8, budgets[slot] & 255)
        if found.0 >= mine.0 && found.1 >= mine.1 { return true }
        if mine.0 >= found.0 && mine.1 >= found.1 { budgets[slot] = mine.0 << 8 | mine.1 }
        return false
      }
      slot = (slot + 1) & (capacity - 1)
    }
    if count >= Visited.maximum / 2 { return false }
    keys[slot] = key
    budgets[slot] = mine.0 << 8 | mine.1
    count += 1
    if count * 2 > capacity { grow() }
    return false
  }

  private mutating func grow() {
    let (oldKeys, oldBudgets, oldCapacity) = (keys, budgets, capacity)
    capacity *= 4
    keys = .allocate(capacity: capacity)
    keys.initialize(repeating: 0, count: capacity)
    budgets = .allocate(capacity: capacity)
    budgets.initialize(repeating: 0, count: capacity)
    for old in 0..<oldCapacity where oldKeys[old] != 0 {
      var slot = Int(truncatingIfNeeded: oldKeys[old]) & (capacity - 1)
      while keys[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
      keys[slot] = oldKeys[old]
      budgets[slot] = oldBudgets[old]
    }
    oldKeys.deallocate()
    oldBudgets.deallocate()
  }
}
