import Glibc

/// So many rounds of a test, or fewer where `KALLOC_TEST_SCALE` says how many times slower than usual this run is: valgrind
/// (Scripts/test-valgrind) takes some fifty times as long. At least one.
public func scaled(_ rounds: Int) -> Int { max(1, rounds / scale) }

private let scale = getenv("KALLOC_TEST_SCALE").flatMap { Int(String(cString: $0)) }.map { max(1, $0) } ?? 1
