// What the memory model allows and forbids. Each of the classical programs is explored without bounds, and the set of its
// outcomes is compared with what C++20 says of it.

import KAllocAtomics
import Testing

@testable import Explorer
@testable import Scenarios

extension ExplorerTests {
  @Suite(.serialized) struct LitmusTests {
    private func load(_ word: UnsafeMutablePointer<UInt64>) -> Int { Int(ka_u64_load_relaxed(word)) }

    @Test func `relaxed stores are buffered: both threads may read 0`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); return [Int(ka_u64_load_relaxed(w + 1))]
        },
        { w in
          ka_u64_store_relaxed(w + 1, 1); return [Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(seen == [[0, 0], [0, 1], [1, 0], [1, 1]])
    }

    @Test func `release and acquire do not forbid store buffering`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_release(w, 1); return [Int(ka_u64_load_acquire(w + 1))]
        },
        { w in
          ka_u64_store_release(w + 1, 1); return [Int(ka_u64_load_acquire(w))]
        }
      ).run()
      #expect(seen.contains([0, 0]))
    }

    @Test func `sequentially consistent accesses forbid store buffering`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_seq_cst(w, 1); return [Int(ka_u64_load_seq_cst(w + 1))]
        },
        { w in
          _ = ka_u64_fetch_or_seq_cst(w + 1, 1); return [Int(ka_u64_load_seq_cst(w))]
        }
      ).run()
      #expect(seen == [[0, 1], [1, 0], [1, 1]])
    }

    @Test func `sequentially consistent fences forbid store buffering`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_fence_seq_cst(); return [Int(ka_u64_load_relaxed(w + 1))]
        },
        { w in
          ka_u64_store_relaxed(w + 1, 1); ka_fence_seq_cst(); return [Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(seen == [[0, 1], [1, 0], [1, 1]])
    }

    @Test func `a message is passed by release and acquire`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_release(w + 1, 1); return []
        },
        { w in
          let flag = Int(ka_u64_load_acquire(w + 1)); return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(seen == [[0, 0], [0, 1], [1, 1]])
    }

    @Test func `a message is not passed by a relaxed store or a relaxed load`() throws {
      let relaxedStore = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_relaxed(w + 1, 1); return []
        },
        { w in
          let flag = Int(ka_u64_load_acquire(w + 1)); return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      let relaxedLoad = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_release(w + 1, 1); return []
        },
        { w in
          let flag = Int(ka_u64_load_relaxed(w + 1)); return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(relaxedStore.contains([1, 0]) && relaxedLoad.contains([1, 0]))
    }

    @Test func `fences pass a message over relaxed accesses`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_fence_release(); ka_u64_store_relaxed(w + 1, 1); return []
        },
        { w in
          let flag = Int(ka_u64_load_relaxed(w + 1))
          ka_fence_acquire()
          return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(seen == [[0, 0], [0, 1], [1, 1]])
    }

    @Test func `a read-modify-write carries the release sequence on, a plain store ends it`() throws {
      let carried = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_release(w + 1, 1); return []
        },
        { w in [Int(ka_u64_cas_relaxed(w + 1, 1, 2))] },
        { w in
          let flag = Int(ka_u64_load_acquire(w + 1)); return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(carried.contains([1, 2, 1]) && !carried.contains([1, 2, 0]))
      let ended = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_release(w + 1, 1); ka_u64_store_relaxed(w + 1, 2); return []
        },
        { w in
          let flag = Int(ka_u64_load_acquire(w + 1)); return [flag, Int(ka_u64_load_relaxed(w))]
        }
      ).run()
      #expect(ended.contains([2, 0]))
    }

    @Test func `reads of one word never go back`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); ka_u64_store_relaxed(w, 2); return []
        },
        { w in [Int(ka_u64_load_relaxed(w)), Int(ka_u64_load_relaxed(w))] }
      ).run()
      #expect(seen.allSatisfy { $0[0] <= $0[1] } && seen.count == 6)
    }

    @Test func `two readers may disagree about the order of independent stores unless all is sequentially consistent`()
      throws
    {
      let acquire = try Litmus(
        { w in
          ka_u64_store_release(w, 1); ka_u64_store_release(w + 1, 0); return []
        },
        { w in
          ka_u64_store_release(w + 2, 1); return []
        },
        { w in [Int(ka_u64_load_acquire(w)), Int(ka_u64_load_acquire(w + 2))] },
        { w in [Int(ka_u64_load_acquire(w + 2)), Int(ka_u64_load_acquire(w))] }
      ).run()
      #expect(acquire.contains([1, 0, 1, 0]))
      let consistent = try Litmus(
        { w in
          ka_u64_store_seq_cst(w, 1); return []
        },
        { w in
          ka_u64_store_seq_cst(w + 2, 1); return []
        },
        { w in [Int(ka_u64_load_seq_cst(w)), Int(ka_u64_load_seq_cst(w + 2))] },
        { w in [Int(ka_u64_load_seq_cst(w + 2)), Int(ka_u64_load_seq_cst(w))] }
      ).run()
      #expect(consistent.count == 15 && !consistent.contains([1, 0, 1, 0]))
    }

    @Test func `a read-modify-write reads the newest value`() throws {
      let seen = try Litmus(
        { w in [Int(ka_u64_fetch_add_relaxed(w, 1))] }, { w in [Int(ka_u64_fetch_add_relaxed(w, 1))] },
        { w in [Int(ka_u64_fetch_add_relaxed(w, 1))] }
      ).run()
      #expect(seen == [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    }

    @Test func `a compare-exchange that fails may have read an old value`() throws {
      let seen = try Litmus(
        { w in
          ka_u64_store_relaxed(w, 1); return []
        }, { w in [Int(ka_u64_cas_relaxed(w, 1, 2))] }
      ).run()
      #expect(seen == [[0], [1]])
    }
  }
}
