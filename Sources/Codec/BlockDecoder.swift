/// Reads payloads of ``BlockEncoder``. Holds no session: every block follows from its arguments alone.
///
/// Hostile bytes are refused with a ``BlockError``; they cannot make it trap, read or write outside its spans, or use
/// more memory than a block of ``BlockLimits`` needs. One decoder belongs to one thread at a time; its scratch is
/// reused, so that steady work allocates nothing.
public struct BlockDecoder: ~Copyable, Sendable {
  private var body: [UInt8] = []
  private var prior: [Int64] = []
  private var milliseconds: [Int64] = []
  private var marks: [UInt8] = []
  private var columns = ColumnReader()
  /// Intervals from the first row's tick to each row's, for the rows of the last block.
  private var tickOffsets: [UInt32] = []
  private var rowFlags: [UInt8] = []

  /// A decoder without scratch; the first blocks grow it.
  public init() {}

  /// What a payload's first bytes say, before any of it is decoded.
  public struct Summary: Hashable, Sendable {
    /// Rows in the block.
    public let rows: Int
    /// Whether it builds on a base row.
    public let isBased: Bool
    /// Whether LZ4 made it shorter.
    public let isCompressed: Bool
  }

  /// Reads the header of `payload`.
  public static func inspect(_ payload: RawSpan) throws(BlockError) -> Summary {
    var position = 0
    let header = try BlockHeader(payload, &position)
    return Summary(rows: header.rows, isBased: header.isBased, isCompressed: header.isCompressed)
  }

  /// Rebuilds the rows of `payload` at the start of `rows`, row after row, oldest first; absence is `Int64.min`.
  ///
  /// On an error the contents of `rows` are unspecified, so decode into a row that is not in use yet.
  ///
  /// - Parameters:
  ///   - base: the row the encoder was given, `nil` when it is not known; ignored by blocks that stand alone.
  ///   - ticksSinceBase: what the encoder was given.
  ///   - rows: room for all rows, see ``inspect(_:)``.
  /// - Returns: rows decoded.
  /// - Throws: ``BlockError`` when the payload is damaged, needs a base that is not given, or exceeds a limit.
  public mutating func decode(
    _ payload: RawSpan, shape: BlockShape, base: Span<Int64>?, ticksSinceBase: Int = 1,
    into rows: inout MutableSpan<Int64>
  ) throws(BlockError) -> Int {
    var position = 0
    let header = try BlockHeader(payload, &position)
    try BlockGeometry.checkRows(header.rows, shape)
    let values = header.rows * shape.width
    guard rows.count >= values else { throw .outputTooSmall(needed: values, available: rows.count) }
    if let base { try BlockGeometry.checkBase(base, shape) }
    if header.isBased && base == nil { throw .baseMissing }
    try RowTicks.checkDistance(ticksSinceBase)
    reserve(rows: header.rows, shape)
    // Spans of a property would hold all of `self`, so the scratch is moved out for the time of the call.
    var bodyScratch = body.moveOut()
    defer { body = bodyScratch }
    let bodyBytes = try Self.loadBody(payload, from: position, header, shape, into: &bodyScratch)
    let reader = BitReader(position: 0, end: bodyBytes * 8)
    if header.rows == 1, !header.isAnnotated, let base, header.isBased {
      tickOffsets[0] = 0
      rowFlags[0] = 0
      let milliseconds = Int64(ticksSinceBase) * shape.intervalMilliseconds
      var rowReader = reader
      if try RowReader.take(
        &rows, base: base, shape, milliseconds: milliseconds, &rowReader, bodyScratch.span)
      {
        guard rowReader.remaining < 8 else { throw .trailing(bytes: rowReader.remaining / 8) }
        return 1
      }
    }
    try decodeRows(
      header, reader, bodyScratch.span, shape, base: header.isBased ? base : nil, ticksSinceBase: ticksSinceBase,
      into: &rows)
    return header.rows
  }

  /// Intervals from the first row's tick to that of row `row` of the last block decoded.
  public func tickOffset(ofRow row: Int) -> Int { Int(tickOffsets[row]) }

  /// The flags of row `row` of the last block decoded.
  public func flags(ofRow row: Int) -> UInt8 { rowFlags[row] }
}

extension BlockDecoder {
  /// The general way: any number of rows, annotations, with or without base.
  private mutating func decodeRows(
    _ header: BlockHeader, _ start: BitReader, _ bytes: Span<UInt8>, _ shape: BlockShape, base: Span<Int64>?,
    ticksSinceBase: Int, into rows: inout MutableSpan<Int64>
  ) throws(BlockError) {
    var reader = start
    let values = header.rows * shape.width
    var priorScratch = prior.moveOut()
    defer { prior = priorScratch }
    for row in 0..<header.rows {
      tickOffsets[row] = UInt32(row)
      rowFlags[row] = 0
    }
    var hasPresence = false
    if header.isAnnotated {
      let annotations = try Annotations(&reader, bytes)
      if annotations.hasGaps { try RowTicks.take(&tickOffsets, rows: header.rows, &reader, bytes) }
      if annotations.hasFlags { try RowFlags.take(&rowFlags, rows: header.rows, &reader, bytes) }
      if annotations.hasPresence {
        try Presence.take(&marks, rows: header.rows, base: base, shape, &reader, bytes)
        hasPresence = true
      }
    }
    RowTicks.setDistances(
      &milliseconds, shape, rows: header.rows, ticksSinceBase: ticksSinceBase, tickOffsets: tickOffsets)
    let distances = milliseconds.moveOut()
    defer { milliseconds = distances }
    var priorSpan = priorScratch.mutableSpan
    if let base {
      for index in 0..<shape.width {
        let before = base.at(index)
        priorSpan.set(index, before == Presence.absent ? 0 : before)
      }
    }
    try columns.take(
      &rows, count: header.rows, isBased: header.isBased, prior: &priorSpan, shape, milliseconds: distances.span,
      &reader, bytes)
    guard reader.remaining < 8 else { throw .trailing(bytes: reader.remaining / 8) }
    try Presence.refuseAbsent(rows.span.extracting(first: values), shape)
    if hasPresence {
      Presence.apply(marks.span, to: &rows, count: values)
    } else if let base {
      Presence.apply(base: base, to: &rows, count: values)
    }
  }

  private mutating func reserve(rows: Int, _ shape: BlockShape) {
    let values = rows * shape.width
    if prior.count < shape.width { prior = Array(repeating: 0, count: shape.width) }
    if milliseconds.count < rows {
      milliseconds = Array(repeating: 0, count: rows)
      tickOffsets = Array(repeating: 0, count: rows)
      rowFlags = Array(repeating: 0, count: rows)
    }
    if marks.count < values { marks = Array(repeating: 0, count: values) }
    columns.reserve(rows: rows, shape)
  }

  /// Copies or decompresses the body into scratch, so that reads may run into the slack behind it.
  private static func loadBody(
    _ payload: RawSpan, from start: Int, _ header: BlockHeader, _ shape: BlockShape, into body: inout [UInt8]
  ) throws(BlockError) -> Int {
    var position = start
    let limit = shape.payloadBytesMax(rows: header.rows)
    var size = payload.byteCount - position
    if header.isCompressed {
      let stated = try payload.integer(&position, .bodyBytes)
      guard stated <= UInt64(limit) else { throw .bodyTooLarge(bytes: Int(clamping: stated), limit: limit) }
      size = Int(stated)
    }
    guard size <= limit else { throw .bodyTooLarge(bytes: size, limit: limit) }
    if body.count < size + BlockLimits.slackBytes {
      body = Array(repeating: 0, count: limit + BlockLimits.slackBytes)
    }
    let source = payload.extracting(position..<payload.byteCount)
    var target = body.mutableSpan
    guard header.isCompressed else {
      copyBytes(source, to: &target)
      return size
    }
    let written = LZ4.decompress(source, into: &target, count: size)
    guard written == size else { throw .compressionDamaged(compressedBytes: source.byteCount, bodyBytes: size) }
    return size
  }
}
