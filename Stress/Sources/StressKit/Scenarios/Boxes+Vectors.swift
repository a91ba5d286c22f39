import KAlloc
import KBoxed

// The vectors of `Boxes`.

extension Boxes {
  typealias Vector = Vec<UInt64, Memory>

  func stepVector(_ worker: Worker<Tested>, _ old: Held, _ action: Int, _ key: UInt64) -> Held {
    guard old.exists else { return keep(Vector(in: Memory(worker: worker)), key) }
    var vector = vector(worker, old)
    check(vector, worker, old)
    if vector.count >= Self.longestVector { return .none }
    switch action {
    case 0:
      for _ in 0..<vector.count / 2 { _ = vector.popLast() }
      vector.shrink()
    case 1:
      // The copy takes the place of the original, which goes.
      guard let copy = try? vector.tryClone() else { break }
      return keep(copy, old.key)
    default:
      for _ in 0..<vector.count + 3 {
        guard (try? vector.append(Self.element(old.key, vector.count))) != nil else { break }
      }
    }
    return keep(vector, old.key)
  }

  func vector(_ worker: Worker<Tested>, _ parts: Held) -> Vector {
    Vector(
      fromRawParts: UnsafeMutablePointer(bitPattern: parts.address)!, count: parts.count, capacity: parts.capacity,
      in: Memory(worker: worker))
  }

  func drop(_ vector: consuming Vector, _ worker: Worker<Tested>, _ parts: Held) { check(vector, worker, parts) }

  private static func element(_ key: UInt64, _ index: Int) -> UInt64 {
    key &* UInt64(truncatingIfNeeded: index | 1) ^ key
  }

  private func keep(_ vector: consuming Vector, _ key: UInt64) -> Held {
    let parts = vector.intoRawParts()
    return Held(address: UInt(bitPattern: parts.start), key: key, count: parts.count, capacity: parts.capacity)
  }

  private func check(_ vector: borrowing Vector, _ worker: Worker<Tested>, _ parts: Held) {
    let elements = vector.span
    worker.ledger.blocksChecked += 1
    worker.ledger.bytesChecked += elements.count * MemoryLayout<UInt64>.stride
    for index in elements.indices where elements[index] != Self.element(parts.key, index) {
      return worker.fail(
        .content, "vector of \(parts.count) at 0x\(String(parts.address, radix: 16)): element \(index) is wrong")
    }
  }
}
