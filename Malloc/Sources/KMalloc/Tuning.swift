// malloc_trim, mallopt, mallinfo, malloc_stats, malloc_info, and what is printed when the program exits.

import CMalloc
import Slab

/// Empties the caches and gives free memory back. The pad is not kept: memory that is needed again comes quickly.
@c(km_malloc_trim)
public func mallocTrim(_ pad: Int) -> Int32 {
  releaseHeldBack()
  return Heap.global.trim() > 0 ? 1 : 0
}

/// What has a meaning here is accepted: thresholds, of which this allocator has none to set, and arenas, which it does not
/// have, are hints. 0: the parameter is not known.
@c(km_mallopt)
public func mallopt(_ parameter: Int32, _ value: Int32) -> Int32 {
  switch parameter {
  case M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_TEST, M_ARENA_MAX, M_CHECK_ACTION: 1
  default: 0
  }
}

/// The fields mean what the C library's do, with large blocks for its mappings: arena = uordblks + fordblks, and hblkhd is none of them.
/// ordblks are the objects that are free, keepcost the bytes of free pages on stacks; the rest has no meaning here and is 0.
@c(km_mallinfo2)
public func mallinfo2() -> CMalloc.mallinfo2 {
  let statistics = Heap.global.statistics()
  var info = CMalloc.mallinfo2()
  info.uordblks = max(statistics.liveBytes - statistics.largeBytes, 0)
  info.arena = max(statistics.committedBytes - statistics.largeBytes, info.uordblks)
  info.fordblks = info.arena - info.uordblks
  info.ordblks = statistics.freeObjects + statistics.cachedObjects
  info.hblks = statistics.largeBlocks
  info.hblkhd = statistics.largeBytes
  info.keepcost = statistics.cachedPageBytes
  return info
}

/// The same, cut off at what an `int` holds.
@c(km_mallinfo)
public func mallinfo() -> CMalloc.mallinfo {
  let wide = mallinfo2()
  var info = CMalloc.mallinfo()
  info.arena = Int32(clamping: wide.arena)
  info.ordblks = Int32(clamping: wide.ordblks)
  info.hblks = Int32(clamping: wide.hblks)
  info.hblkhd = Int32(clamping: wide.hblkhd)
  info.uordblks = Int32(clamping: wide.uordblks)
  info.fordblks = Int32(clamping: wide.fordblks)
  info.keepcost = Int32(clamping: wide.keepcost)
  return info
}

@c(km_malloc_stats)
public func mallocStats() {
  Report.text(file: 2)
  if Profile.isOn { Profile.write() }
}

@c(km_malloc_info)
public func mallocInfo(_ options: Int32, _ stream: UnsafeMutablePointer<FILE>?) -> Int32 {
  guard options == 0, let stream = unsafe stream else {
    km_set_errno(EINVAL)
    return -1
  }
  unsafe Report.xml(stream)
  return 0
}

/// Called when the program exits, or the library is unloaded.
@c(km_at_exit)
public func atExit() {
  let options = unsafe options
  guard options.reportsAtExit else { return }
  if options.profiles { Profile.write() }
  let path = unsafe km_output_path()
  let output = unsafe path[0] == 0 ? -1 : km_open(path)
  if unsafe output < 0 && path[0] != 0 { Start.print("kalloc: the output's file could not be opened\n") }
  let file = output < 0 ? Start.standardError : output
  switch options.statistics {
  case .none: break
  case .text: Report.text(file: file)
  case .json: Report.json(file: file)
  }
  if options.leaks { Report.leaks(file: file) }
  if options.check { Report.check(file: file) }
  if output >= 0 { km_close(output) }
}
