/// Writes rows as compact blocks. Holds no session: every block follows from its arguments alone.
///
/// One encoder belongs to one thread at a time; its scratch grows to the largest block seen and is reused, so that
/// steady work allocates nothing. FORMAT.md draws what it writes.
public struct BlockEncoder: ~Copyable, Sendable {
  /// Header and body before compression, and after.
  private var plain: [UInt8] = []
  private var compressed: [UInt8] = []
  /// Rows and base with readings in the place of absent ones; in use only where something is absent.
  private var filledRows: [Int64] = []
  private var filledBase: [Int64] = []
  /// Milliseconds from each row to the one before.
  private var milliseconds: [Int64] = []
  private var columns = ColumnWriter()

  /// Whether LZ4 may shorten bodies; off only to measure what it saves.
  public var isCompressing = true

  /// An encoder without scratch; the first blocks grow it.
  public init() {}

  /// Writes `rows` as one payload to the start of `output`.
  ///
  /// - Parameters:
  ///   - rows: one or more rows of `shape`, row after row, oldest first; absence is `Int64.min`.
  ///   - base: the row the decoder will be given again, or `nil` for a block that stands alone.
  ///   - ticksSinceBase: intervals from the base's tick to the first row's; the decoder must be given the same.
  ///   - tickOffsets: intervals from the first row's tick to each row's, from 0, growing; `nil` when ticks follow
  ///     each other without a gap.
  ///   - rowFlags: one byte for each row; `nil` when all are zero.
  /// - Returns: bytes written, at most ``BlockShape/payloadBytesMax(rows:)``.
  /// - Throws: ``BlockError`` when a span has the wrong length, a limit is exceeded or `output` is too small.
  /// - Complexity: O(values); no allocation once warm.
  public mutating func encode(
    rows: Span<Int64>, shape: BlockShape, base: Span<Int64>?, ticksSinceBase: Int = 1,
    tickOffsets: Span<UInt32>? = nil, rowFlags: Span<UInt8>? = nil, into output: inout MutableRawSpan
  ) throws(BlockError) -> Int {
    let result = try write(
      rows, shape, base: base, ticksSinceBase: ticksSinceBase, tickOffsets: tickOffsets, rowFlags: rowFlags)
    guard result.bytes <= output.byteCount else {
      throw .outputTooSmall(needed: result.bytes, available: output.byteCount)
    }
    if result.isCompressed {
      copyBytes(compressed.span.extracting(first: result.bytes), to: &output)
    } else {
      copyBytes(plain.span.extracting(first: result.bytes), to: &output)
    }
    return result.bytes
  }

  /// Writes `rows` as one payload and appends it to `output`. Parameters and errors are those of
  /// ``encode(rows:shape:base:ticksSinceBase:tickOffsets:rowFlags:into:)``.
  public mutating func encode(
    rows: Span<Int64>, shape: BlockShape, base: Span<Int64>?, ticksSinceBase: Int = 1,
    tickOffsets: Span<UInt32>? = nil, rowFlags: Span<UInt8>? = nil, appendingTo output: inout [UInt8]
  ) throws(BlockError) {
    let result = try write(
      rows, shape, base: base, ticksSinceBase: ticksSinceBase, tickOffsets: tickOffsets, rowFlags: rowFlags)
    output.append(contentsOf: (result.isCompressed ? compressed : plain)[..<result.bytes])
  }
}

extension BlockEncoder {
  private struct Result {
    let bytes: Int
    let isCompressed: Bool
  }

  private mutating func write(
    _ rows: Span<Int64>, _ shape: BlockShape, base: Span<Int64>?, ticksSinceBase: Int, tickOffsets: Span<UInt32>?,
    rowFlags: Span<UInt8>?
  ) throws(BlockError) -> Result {
    let count = try BlockGeometry.rowCount(values: rows.count, shape)
    if let base { try BlockGeometry.checkBase(base, shape) }
    reserve(rows: count, shape)
    let hasGaps = try RowTicks.setDistances(
      &milliseconds, shape, rows: count, ticksSinceBase: ticksSinceBase, tickOffsets: tickOffsets)
    let hasFlags = try RowFlags.check(rowFlags, rows: count)
    var hasAbsence = try Presence.check(rows, shape)
    if let base, try Presence.check(base, shape) { hasAbsence = true }
    let annotations = Annotations(
      hasGaps: hasGaps, hasFlags: hasFlags,
      hasPresence: hasAbsence && Presence.changes(rows, from: base, shape))

    // Spans of a property would hold all of `self`, so the scratch is moved out for the time of the call.
    var plainScratch = plain.moveOut()
    let distances = milliseconds.moveOut()
    defer {
      plain = plainScratch
      milliseconds = distances
    }
    var writer = BitWriter()
    var bytes = plainScratch.mutableSpan
    BlockHeader(rows: count, isBased: base != nil, isAnnotated: !annotations.isEmpty).put(&writer, into: &bytes)
    let bodyStart = writer.position / 8
    annotations.put(&writer, into: &bytes)
    if hasGaps, let tickOffsets { RowTicks.put(tickOffsets, &writer, into: &bytes) }
    if hasFlags, let rowFlags { RowFlags.put(rowFlags, &writer, into: &bytes) }
    if annotations.hasPresence { Presence.put(rows, from: base, shape, &writer, into: &bytes) }
    if hasAbsence {
      var filledRowScratch = filledRows.moveOut()
      var filledBaseScratch = filledBase.moveOut()
      Presence.fill(rows, base: base, shape, filledRows: &filledRowScratch, filledBase: &filledBaseScratch)
      let filled = filledRowScratch.span.extracting(first: rows.count)
      let filledBaseRow = filledBaseScratch.span.extracting(first: shape.width)
      columns.put(
        filled, base: base == nil ? nil : filledBaseRow, shape, milliseconds: distances.span, &writer, into: &bytes)
      filledRows = filledRowScratch
      filledBase = filledBaseScratch
    } else {
      columns.put(rows, base: base, shape, milliseconds: distances.span, &writer, into: &bytes)
    }
    writer.align()
    return compress(bytes.span, bodyStart: bodyStart, bytes: writer.position / 8)
  }

  /// Compresses the body where that makes the payload shorter.
  private mutating func compress(_ source: Span<UInt8>, bodyStart: Int, bytes: Int) -> Result {
    let bodyBytes = bytes - bodyStart
    guard isCompressing, bodyBytes >= BlockLimits.compressionBytesMin else {
      return Result(bytes: bytes, isCompressed: false)
    }
    if compressed.count < source.count { compressed = Array(repeating: 0, count: source.count) }
    var writer = BitWriter()
    var target = compressed.mutableSpan
    for index in 0..<bodyStart {
      let byte = UInt64(source[index]) | (index == 0 ? UInt64(BlockHeader.compressedBit) : 0)
      writer.put(byte, 8, into: &target)
    }
    writer.putInteger(UInt64(bodyBytes), into: &target)
    let start = writer.position / 8
    guard start < bytes - 1 else { return Result(bytes: bytes, isCompressed: false) }
    // One byte less than the plain payload, so that LZ4 gives up where it does not shrink.
    let body = source.extracting(bodyStart..<bytes)
    guard let packed = LZ4.compress(body, into: &target, from: start, to: bytes - 1) else {
      return Result(bytes: bytes, isCompressed: false)
    }
    return Result(bytes: start + packed, isCompressed: true)
  }

  private mutating func reserve(rows: Int, _ shape: BlockShape) {
    let bytes = shape.payloadBytesMax(rows: rows) + BlockLimits.slackBytes
    if plain.count < bytes { plain = Array(repeating: 0, count: bytes) }
    if milliseconds.count < rows { milliseconds = Array(repeating: 0, count: rows) }
    columns.reserve(rows: rows, shape)
  }
}
