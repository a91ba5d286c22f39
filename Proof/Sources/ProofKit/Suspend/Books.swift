@_spi(Proof) import Slab

/// What a heap's books say after the others have freed everything and emptied all caches, beside a thread that stands still.
struct Books {
  /// Objects that are neither free nor in a cache.
  var live = 0
  /// Bytes that are committed and not in slabs, in large blocks, or in pages that a cache holds.
  var unexplained = 0
  /// Bytes of the window in slabs, in large blocks, in page caches, and in pages that could be taken one by one till the end.
  var found = 0
  /// Objects and pages in caches that nobody could empty.
  var stuckObjects = 0
  var stuckPages = 0
  var stuck: Int { stuckObjects + stuckPages }
  /// Whether `validate` has found nothing.
  var isValid = false

  /// > Takes all pages of the heap.
  init(_ heap: Heap, slabBytes: Int) {
    isValid = heap.validate(during: .cutOff) == nil
    heap.trim()
    if isValid { isValid = heap.validate(during: .cutOff) == nil }
    let books = heap.statistics()
    live = books.carvedObjects - books.freeObjects - books.cachedObjects
    let explained = books.slabs * slabBytes + books.largeBytes + books.cachedPageBytes
    unexplained = books.committedBytes - explained
    stuckObjects = books.cachedObjects
    stuckPages = books.cachedPageBytes / 4096
    found = explained
    while (try? heap.allocatePages(order: 0, flags: [.useReserve])) != nil { found += 4096 }
  }

  init() {}
}

/// What a stopped thread has taken with it.
struct Loss {
  var objects = 0
  var bytes = 0
  /// What no bound allows; `nil`: nothing.
  var fault: String?

  init() {}

  /// `found`, where an operation was cut off, beside the books where it had not begun and where it had ended.
  init(_ found: Books, before: Books, after: Books, path: Path, mode: SubjectName) {
    objects = found.live - max(before.live, after.live)
    bytes = max(
      found.unexplained - max(before.unexplained, after.unexplained), min(before.found, after.found) - found.found, 0)
    let direct = path.bytes > 1 << 30
    if direct { bytes = max(found.unexplained - max(before.unexplained, after.unexplained), 0) }
    if !found.isValid {
      fault = "validate finds a fault"
    } else if objects > path.magazine {
      fault = "\(objects) objects lost, more than a magazine of \(path.magazine)"
    } else if !path.drains && found.live < min(before.live, after.live) {
      fault = "\(min(before.live, after.live) - found.live) objects counted twice"
    } else if found.stuckObjects > Loss.stuckBound(path, mode, path.bounds) {
      fault = "\(found.stuckObjects) objects in caches that nobody can empty"
    } else if found.stuckPages > Loss.stuckBound(path, mode, Path.pageBounds) {
      fault = "\(found.stuckPages) pages in caches that nobody can empty"
    } else if bytes > Loss.bytesBound(path) {
      fault = "\(bytes) bytes lost, more than \(Loss.bytesBound(path))"
    }
    objects = max(objects, 0)
  }

  /// `found`, where a handler interrupted the operation and it went on: nothing is lost.
  init(_ found: Books, interrupted after: Books) {
    objects = abs(found.live - after.live)
    bytes = max(abs(found.unexplained - after.unexplained), abs(found.found - after.found))
    if !found.isValid {
      fault = "validate finds a fault"
    } else if objects > 0 || bytes > 0 || found.stuck > 0 {
      fault =
        "\(objects) objects, \(bytes) bytes, \(found.stuck) cached pointers are not where they were without the handler"
    }
  }

  /// Objects, or pages, that stay in caches: in `thread` mode those on the stopped thread's own stack; in a drain those on the
  /// stacks that it had stopped.
  static func stuckBound(_ path: Path, _ mode: SubjectName, _ bounds: StackBounds) -> Int {
    if path.drains { return .max }
    return mode == .thread ? bounds.capacity : 0
  }

  /// One claimed block, or the blocks that the run asked for touches.
  static func bytesBound(_ path: Path) -> Int {
    let block = 2 << 20
    return max((path.bytes + block - 1) / block, 1) * block
  }
}
