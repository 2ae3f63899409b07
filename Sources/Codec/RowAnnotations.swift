/// Ticks of the rows: nothing is stored while they follow each other.
enum RowTicks {
  static func checkDistance(_ ticks: Int) throws(BlockError) {
    guard ticks >= 0, ticks <= BlockLimits.tickSpanMax else {
      throw .outOfRange(field: .tickDistance, value: ticks, limit: BlockLimits.tickSpanMax)
    }
  }

  /// Fills the distances of the rows to the ones before from checked offsets.
  static func setDistances(
    _ milliseconds: inout [Int64], _ shape: BlockShape, rows: Int, ticksSinceBase: Int, tickOffsets: [UInt32]
  ) {
    milliseconds[0] = Int64(ticksSinceBase) * shape.intervalMilliseconds
    for row in 1..<max(rows, 1) {
      milliseconds[row] = Int64(tickOffsets[row] - tickOffsets[row - 1]) * shape.intervalMilliseconds
    }
  }

  /// Fills the distances of the rows to the ones before; whether any tick is skipped between them.
  static func setDistances(
    _ milliseconds: inout [Int64], _ shape: BlockShape, rows: Int, ticksSinceBase: Int, tickOffsets: Span<UInt32>?
  ) throws(BlockError) -> Bool {
    try checkDistance(ticksSinceBase)
    milliseconds[0] = Int64(ticksSinceBase) * shape.intervalMilliseconds
    guard let tickOffsets else {
      for row in 1..<max(rows, 1) { milliseconds[row] = shape.intervalMilliseconds }
      return false
    }
    guard tickOffsets.count == rows, tickOffsets[0] == 0 else {
      throw .wrongLength(field: .ticks, count: tickOffsets.count, expected: rows)
    }
    var hasGaps = false
    for row in 1..<max(rows, 1) {
      guard tickOffsets[row] > tickOffsets[row - 1], tickOffsets[row] <= UInt32(BlockLimits.tickSpanMax) else {
        throw .outOfRange(field: .ticks, value: Int(tickOffsets[row]), limit: BlockLimits.tickSpanMax)
      }
      let distance = Int64(tickOffsets[row] - tickOffsets[row - 1])
      if distance > 1 { hasGaps = true }
      milliseconds[row] = distance * shape.intervalMilliseconds
    }
    return hasGaps
  }

  /// Appends the gaps: how many, then for each the rows since the last gap and the ticks skipped before that row.
  static func put(_ tickOffsets: Span<UInt32>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>) {
    var gaps: UInt64 = 0
    for row in 1..<tickOffsets.count where tickOffsets[row] - tickOffsets[row - 1] > 1 { gaps += 1 }
    writer.putInteger(gaps, into: &bytes)
    var next = 1
    for row in 1..<tickOffsets.count where tickOffsets[row] - tickOffsets[row - 1] > 1 {
      writer.putInteger(UInt64(row - next), into: &bytes)
      writer.putInteger(UInt64(tickOffsets[row] - tickOffsets[row - 1] - 2), into: &bytes)
      next = row + 1
    }
  }

  /// Reads the gaps into `tickOffsets`, which already count up by one.
  static func take(_ tickOffsets: inout [UInt32], rows: Int, _ reader: inout BitReader, _ bytes: Span<UInt8>)
    throws(BlockError)
  {
    let gaps = try reader.takeInteger(.tickGap, in: 1...BlockLimits.rowsMax, from: bytes)
    var row = 0
    var skipped = 0
    for _ in 0..<gaps {
      let distance = try reader.takeInteger(.tickGap, in: 0...BlockLimits.rowsMax, from: bytes)
      let next = row + 1 + distance
      guard next < rows else { throw .outOfRange(field: .tickGap, value: next, limit: rows - 1) }
      for between in row..<next { tickOffsets[between] += UInt32(skipped) }
      skipped += 1 + (try reader.takeInteger(.tickGap, in: 0...BlockLimits.tickSpanMax, from: bytes))
      guard skipped + rows <= BlockLimits.tickSpanMax else {
        throw .outOfRange(field: .ticks, value: skipped + rows, limit: BlockLimits.tickSpanMax)
      }
      row = next
    }
    for between in row..<rows { tickOffsets[between] += UInt32(skipped) }
  }
}

/// One byte of flags for each row: nothing is stored while all are zero, else runs of equal flags.
enum RowFlags {
  /// Whether some row has flags.
  static func check(_ flags: Span<UInt8>?, rows: Int) throws(BlockError) -> Bool {
    guard let flags else { return false }
    guard flags.count == rows else { throw .wrongLength(field: .flags, count: flags.count, expected: rows) }
    for row in 0..<rows where flags[row] != 0 { return true }
    return false
  }

  static func put(_ flags: Span<UInt8>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>) {
    var start = 0
    while start < flags.count {
      var end = start + 1
      while end < flags.count && flags[end] == flags[start] { end += 1 }
      writer.putInteger(UInt64(end - start - 1), into: &bytes)
      writer.put(UInt64(flags[start]), 8, into: &bytes)
      start = end
    }
  }

  static func take(_ flags: inout [UInt8], rows: Int, _ reader: inout BitReader, _ bytes: Span<UInt8>)
    throws(BlockError)
  {
    var start = 0
    while start < rows {
      let run = try reader.takeInteger(.flagRun, in: 0...(rows - start - 1), from: bytes) + 1
      try reader.require(8)
      let value = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
      for row in start..<(start + run) { flags[row] = value }
      start += run
    }
  }
}
