internal import BongsuModel
internal import BongsuThreads

/// Between which ticks the rows of a journal's segments lie, for those that were read whole since the start: who looks
/// for the rows of a minute need not read the minutes before it.
///
/// Nothing is said of a segment in which something could not be read, nor of the newest.
///
/// Thread rule: any thread.
final class SegmentTicks: Sendable {
  private struct Key: Hashable {
    let shard: Int
    let segment: UInt64
  }

  private let extents = ThreadLock<[Key: ClosedRange<Int64>]>([:])

  /// Notes that the rows of a segment, by the number of its first record, lie within `extent`, milliseconds.
  func note(_ extent: ClosedRange<Int64>, shard: Int, segment: UInt64) {
    extents.withLock { extents in
      extents[Key(shard: shard, segment: segment)] = extent
      guard extents.count > StoreLimits.segmentsKnownMax else { return }
      // Those of old segments, which the journal has not any more.
      let oldest = extents.keys.filter { $0.shard == shard }.min { $0.segment < $1.segment }
      if let oldest { extents[oldest] = nil }
    }
  }

  /// Whether a segment has certainly no row in `ticks`.
  func misses(_ ticks: ClosedRange<Tick>, shard: Int, segment: UInt64) -> Bool {
    guard let extent = extents.withLock({ $0[Key(shard: shard, segment: segment)] }) else { return false }
    return extent.upperBound < ticks.lowerBound.unixMilliseconds
      || ticks.upperBound.unixMilliseconds < extent.lowerBound
  }
}
