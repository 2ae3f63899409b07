public import Synchronization

// The instruments that code holds and moves. All of them are safe from any thread, never lock, never allocate, and cost
// one relaxed atomic addition a call. Relaxed is enough: a scrape reads each number by itself and promises no order
// between them.

/// Room after a number that is written often, so that no two instruments share a cache line: with the object's header
/// and the number itself every instrument is at least 128 bytes long (64-byte lines, fetched in pairs).
struct CacheLinePad: Sendable, BitwiseCopyable {
  private let words: InlineArray<13, UInt64> = .init(repeating: 0)
}

/// A total that only grows.
public final class Counter: Sendable {
  @usableFromInline let total = Atomic<UInt64>(0)
  private let pad = CacheLinePad()

  /// Starts at zero. Usually made by ``MetricRegistry``; one made here is counted but not exposed.
  public init() {}

  /// Adds `amount`, in the unit that the counter was registered with. Wraps after 2^64.
  @inlinable @inline(always)
  public func add(_ amount: UInt64 = 1) {
    total.wrappingAdd(amount, ordering: .relaxed)
  }

  /// Adds `amount` where only one thread ever adds to this counter: a load and a store instead of a locked addition.
  ///
  /// - Precondition: no other thread adds to the same counter, else counts are lost.
  @inlinable @inline(always)
  public func addAsOnlyWriter(_ amount: UInt64 = 1) {
    total.store(total.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }

  /// The total so far.
  public var value: UInt64 { total.load(ordering: .relaxed) }
}

/// A quantity that goes up and down.
public final class Gauge: Sendable {
  @usableFromInline let level = Atomic<Int64>(0)
  private let pad = CacheLinePad()

  /// Starts at zero. Usually made by ``MetricRegistry``; one made here is kept but not exposed.
  public init() {}

  /// Replaces the quantity, in the unit that the gauge was registered with.
  @inlinable @inline(always)
  public func set(_ value: Int64) {
    level.store(value, ordering: .relaxed)
  }

  /// Moves the quantity by `amount`, which may be negative.
  @inlinable @inline(always)
  public func add(_ amount: Int64) {
    level.wrappingAdd(amount, ordering: .relaxed)
  }

  /// Raises the quantity to `value` if it is lower: a high-water mark.
  @inlinable @inline(always)
  public func raise(to value: Int64) {
    level.max(value, ordering: .relaxed)
  }

  /// The quantity now.
  public var value: Int64 { level.load(ordering: .relaxed) }
}

/// How often a quantity fell into each of some ranges, and the sum of all of them.
///
/// Observations are whole numbers in the unit that the histogram was registered with, such as nanoseconds.
public final class Histogram: Sendable {
  /// Upper ends of the buckets, each included in its bucket, ascending.
  public let bounds: [UInt64]
  /// One more than bounds: the last one holds what lies above all of them.
  private let counts: [Counter]
  private let sum = Counter()

  /// - Precondition: 1 to ``MetricLimits/histogramBucketsMax`` strictly ascending bounds.
  public init(bounds: [UInt64]) {
    precondition(
      (1...MetricLimits.histogramBucketsMax).contains(bounds.count), "a histogram with \(bounds.count) buckets")
    precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram bounds must ascend: \(bounds)")
    self.bounds = bounds
    self.counts = (0...bounds.count).map { _ in Counter() }
  }

  /// Takes in one observation. Two relaxed additions after a search through the bounds.
  public func observe(_ value: UInt64) {
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low + high) / 2
      if bounds[middle] < value { low = middle + 1 } else { high = middle }
    }
    counts[low].add()
    sum.add(value)
  }

  /// Observations up to each bound and, last, all of them.
  var cumulativeCounts: [UInt64] {
    var running: UInt64 = 0
    return counts.map {
      running &+= $0.value
      return running
    }
  }

  /// The sum of all observations.
  public var total: UInt64 { sum.value }

  /// How many observations there were.
  public var count: UInt64 { counts.reduce(0) { $0 &+ $1.value } }

  /// `count` bounds from `first`, each `factor` times the one before.
  public static func exponentialBounds(first: UInt64, factor: UInt64, count: Int) -> [UInt64] {
    precondition(
      first > 0 && factor > 1 && count > 0, "exponential bounds from \(first) by \(factor), \(count) of them")
    return (0..<count).reduce(into: []) { bounds, _ in bounds.append(bounds.last.map { $0 * factor } ?? first) }
  }

  /// Bounds for latencies in nanoseconds, 1-2.5-5 steps from 100 µs to 10 s.
  public static let latencyNanosecondBounds: [UInt64] = [
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
  ]
}
