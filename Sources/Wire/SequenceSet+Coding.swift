extension SequenceSet {
  /// Appends the numbers, without ticks: floor, count of ranges, then for each its distance and its length less one.
  func encodeNumbers(into bytes: inout [UInt8]) {
    bytes.appendVarint(floor)
    bytes.appendVarint(UInt64(ranges.count))
    var previous = floor
    for range in ranges {
      bytes.appendVarint(range.first - previous)
      bytes.appendVarint(range.last - range.first)
      previous = range.last
    }
  }

  /// Reads what ``encodeNumbers(into:)`` wrote.
  init(decodingNumbers bytes: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    let floor = try cursor.varint(.floor, max: WireLimits.sequenceMax, bytes)
    let count = try cursor.count(.rangeCount, max: WireLimits.sequenceRangesMax, bytes)
    var ranges: [Range] = []
    ranges.reserveCapacity(count)
    var previous = floor
    for _ in 0..<count {
      let distance = try cursor.varint(.range, max: WireLimits.sequenceMax, bytes)
      let length = try cursor.varint(.range, max: WireLimits.sequenceMax, bytes)
      // Each term is at most 2^62, so their sum cannot wrap.
      let first = previous + distance
      let (last, wraps) = first.addingReportingOverflow(length)
      guard distance >= 2, !wraps, last <= WireLimits.sequenceMax else {
        throw .outOfRange(
          field: .range, value: Int64(clamping: first), limit: Int64(WireLimits.sequenceMax))
      }
      ranges.append(Range(first: first, last: last))
      previous = last
    }
    guard let set = SequenceSet(floor: floor, floorTick: .min, ranges: ranges) else {
      throw .outOfRange(field: .range, value: Int64(count), limit: Int64(WireLimits.sequenceRangesMax))
    }
    self = set
  }

  /// Appends numbers and ticks; what a checkpoint of the aggregator keeps.
  func encode(into bytes: inout [UInt8]) {
    encodeNumbers(into: &bytes)
    bytes.appendI64(floorTick)
    for range in ranges {
      bytes.appendI64(range.firstTick)
      bytes.appendI64(range.lastTick)
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  init(decoding bytes: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    let numbers = try SequenceSet(decodingNumbers: bytes, at: &cursor)
    let floorTick = try cursor.i64(.tick, bytes)
    var ranges = numbers.ranges
    for index in ranges.indices {
      ranges[index].firstTick = try cursor.i64(.tick, bytes)
      ranges[index].lastTick = try cursor.i64(.tick, bytes)
    }
    guard let set = SequenceSet(floor: numbers.floor, floorTick: floorTick, ranges: ranges) else {
      throw .outOfRange(field: .range, value: Int64(ranges.count), limit: Int64(WireLimits.sequenceRangesMax))
    }
    self = set
  }
}
