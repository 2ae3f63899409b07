/// A bounded set of block numbers: all up to a floor, and at most ``WireLimits/sequenceRangesMax`` ranges above it.
///
/// With each range goes the span of ticks of its rows. Within a stream ticks grow with numbers, so the ticks around a
/// hole bound what may still arrive for it: that is how a second row for a stored tick is told without remembering
/// ticks one by one.
///
///     numbers   1 ............ floor     first..last      first..last
///               ██████████████████       █████████        █████
///     ticks     ........... floorTick    ..........       .....
///
/// Invariants: ranges ascend, do not touch each other or the floor, and are not empty.
public struct SequenceSet: Hashable, Sendable {
  /// Consecutive numbers and the ticks of their rows.
  public struct Range: Hashable, Sendable, BitwiseCopyable {
    public var first: UInt64
    public var last: UInt64
    /// Lowest tick of the rows; `Int64.max` when no row is known (all consumed by gaps).
    public var firstTick: Int64
    /// Highest tick of the rows; `Int64.min` when no row is known.
    public var lastTick: Int64

    public init(first: UInt64, last: UInt64, firstTick: Int64 = .max, lastTick: Int64 = .min) {
      self.first = first
      self.last = last
      self.firstTick = firstTick
      self.lastTick = lastTick
    }

    /// How many numbers it holds.
    public var count: UInt64 { last - first + 1 }
  }

  /// Every number from 1 to here is in the set; 0 when 1 is not.
  public private(set) var floor: UInt64
  /// Highest tick at or below the floor, in milliseconds; `Int64.min` when none is known.
  public private(set) var floorTick: Int64
  /// The ranges above the floor, ascending.
  public private(set) var ranges: [Range]

  /// The set of all numbers up to `floor`.
  public init(floor: UInt64 = 0, floorTick: Int64 = .min) {
    self.floor = floor
    self.floorTick = floorTick
    self.ranges = []
  }

  /// A set read from bytes; `nil` when the ranges break the invariants.
  public init?(floor: UInt64, floorTick: Int64, ranges: [Range]) {
    guard floor <= WireLimits.sequenceMax, ranges.count <= WireLimits.sequenceRangesMax else { return nil }
    var previous = floor
    for range in ranges {
      guard range.first > previous + 1, range.last >= range.first, range.last <= WireLimits.sequenceMax else {
        return nil
      }
      previous = range.last
    }
    self.floor = floor
    self.floorTick = floorTick
    self.ranges = ranges
  }

  /// The highest number in the set; 0 when it is empty.
  public var highest: UInt64 { ranges.last?.last ?? floor }

  /// How many numbers are in the set.
  public var count: UInt64 { ranges.reduce(floor) { $0 + $1.count } }

  /// The highest tick of any row in the set; `Int64.min` when none is known.
  public var highestTick: Int64 { ranges.reduce(floorTick) { max($0, $1.lastTick) } }

  /// Whether `number` is in the set.
  public func contains(_ number: UInt64) -> Bool {
    if number <= floor { return true }
    return ranges.contains { $0.first <= number && number <= $0.last }
  }

  /// Whether every number of `first...last` is in the set.
  public func containsAll(_ first: UInt64, _ last: UInt64) -> Bool {
    if last <= floor { return true }
    let low = max(first, floor + 1)
    return ranges.contains { $0.first <= low && last <= $0.last }
  }

  /// The lowest run of numbers within `first...last` that is not in the set, `nil` when all are in it.
  ///
  /// Walk all holes by asking again from behind the answer.
  public func firstMissing(_ first: UInt64, _ last: UInt64) -> (first: UInt64, last: UInt64)? {
    var low = max(first, floor + 1)
    for range in ranges {
      if range.last < low { continue }
      if range.first > low { return low > last ? nil : (low, min(last, range.first - 1)) }
      low = range.last + 1
    }
    return low > last ? nil : (low, last)
  }

  /// The ticks, in milliseconds and exclusive, between which the row of the missing number `number` must lie.
  public func tickBounds(ofMissing number: UInt64) -> (above: Int64, below: Int64) {
    var above = floorTick
    for range in ranges {
      if range.first > number {
        // A range of gaps alone knows no ticks; the next one with rows bounds from above.
        if range.firstTick != .max { return (above, range.firstTick) }
      } else {
        above = max(above, range.lastTick)
      }
    }
    return (above, .max)
  }

  /// Adds `first...last`, numbers already in the set included, whose rows lie at `firstTick...lastTick`.
  ///
  /// - Returns: `false`, and nothing changes, when it would need more than ``WireLimits/sequenceRangesMax`` ranges.
  /// - Complexity: O(1) without allocation when the numbers follow the floor and no range is open; else O(ranges).
  public mutating func insert(
    _ first: UInt64, _ last: UInt64, firstTick: Int64 = .max, lastTick: Int64 = .min
  ) -> Bool {
    if last <= floor { return true }
    if first <= floor + 1 {
      floor = last
      floorTick = max(floorTick, lastTick)
      if !ranges.isEmpty { absorbRangesIntoFloor() }
      return true
    }
    return insertAboveFloor(Range(first: first, last: last, firstTick: firstTick, lastTick: lastTick))
  }

  private mutating func absorbRangesIntoFloor() {
    var absorbed = 0
    for range in ranges {
      guard range.first <= floor + 1 else { break }
      floor = max(floor, range.last)
      floorTick = max(floorTick, range.lastTick)
      absorbed += 1
    }
    ranges.removeFirst(absorbed)
  }

  private mutating func insertAboveFloor(_ new: Range) -> Bool {
    var merged = new
    var index = 0
    while index < ranges.count, ranges[index].last + 1 < new.first { index += 1 }
    var end = index
    while end < ranges.count, ranges[end].first <= new.last + 1 {
      merged.first = min(merged.first, ranges[end].first)
      merged.last = max(merged.last, ranges[end].last)
      merged.firstTick = min(merged.firstTick, ranges[end].firstTick)
      merged.lastTick = max(merged.lastTick, ranges[end].lastTick)
      end += 1
    }
    if end == index, ranges.count == WireLimits.sequenceRangesMax { return false }
    ranges.replaceSubrange(index..<end, with: CollectionOfOne(merged))
    return true
  }

  /// Adds every number of `other`; `false`, and nothing changes, when the union needs too many ranges.
  public mutating func formUnion(_ other: SequenceSet) -> Bool {
    var union = self
    if other.floor > 0 {
      guard union.insert(1, other.floor, lastTick: other.floorTick) else { return false }
    }
    for range in other.ranges {
      guard union.insert(range.first, range.last, firstTick: range.firstTick, lastTick: range.lastTick) else {
        return false
      }
    }
    self = union
    return true
  }
}
