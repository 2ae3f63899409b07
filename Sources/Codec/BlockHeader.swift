/// The first bytes of a payload; see FORMAT.md.
struct BlockHeader {
  static let basedBit: UInt8 = 1
  static let manyBit: UInt8 = 2
  static let annotatedBit: UInt8 = 4
  static let compressedBit: UInt8 = 8

  var rows: Int
  var isBased: Bool
  var isAnnotated: Bool
  var isCompressed = false

  init(rows: Int, isBased: Bool, isAnnotated: Bool) {
    self.rows = rows
    self.isBased = isBased
    self.isAnnotated = isAnnotated
  }

  func put(_ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>) {
    let flags =
      (isBased ? Self.basedBit : 0) | (rows > 1 ? Self.manyBit : 0) | (isAnnotated ? Self.annotatedBit : 0)
    writer.put(UInt64(BlockLimits.formatVersion << 4 | flags), 8, into: &bytes)
    if rows > 1 { writer.putInteger(UInt64(rows), into: &bytes) }
  }

  /// Reads the header of `payload` and moves `position` behind it.
  init(_ payload: RawSpan, _ position: inout Int) throws(BlockError) {
    guard payload.byteCount > position else { throw .truncated(neededBits: 8, availableBits: 0) }
    let first = payload.byte(position)
    position += 1
    guard first >> 4 == BlockLimits.formatVersion else {
      throw .unsupportedVersion(Int(first >> 4), supported: Int(BlockLimits.formatVersion))
    }
    isBased = first & Self.basedBit != 0
    isAnnotated = first & Self.annotatedBit != 0
    isCompressed = first & Self.compressedBit != 0
    rows = 1
    if first & Self.manyBit != 0 {
      let count = try payload.integer(&position, .rows)
      guard count >= 2, count <= UInt64(BlockLimits.rowsMax) else {
        throw .outOfRange(field: .rows, value: Int(clamping: count), limit: BlockLimits.rowsMax)
      }
      rows = Int(count)
    }
  }
}

/// Which optional parts precede the columns.
struct Annotations {
  var hasGaps = false
  var hasFlags = false
  var hasPresence = false

  init(hasGaps: Bool, hasFlags: Bool, hasPresence: Bool) {
    self.hasGaps = hasGaps
    self.hasFlags = hasFlags
    self.hasPresence = hasPresence
  }

  var isEmpty: Bool { !hasGaps && !hasFlags && !hasPresence }

  func put(_ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>) {
    if isEmpty { return }
    writer.put((hasGaps ? 1 : 0) | (hasFlags ? 2 : 0) | (hasPresence ? 4 : 0), 8, into: &bytes)
  }

  init(_ reader: inout BitReader, _ bytes: Span<UInt8>) throws(BlockError) {
    try reader.require(8)
    let bits = reader.take(8, from: bytes)
    guard bits > 0, bits < 8 else { throw .reservedBits(field: .annotations, value: Int(bits)) }
    hasGaps = bits & 1 != 0
    hasFlags = bits & 2 != 0
    hasPresence = bits & 4 != 0
  }
}

/// How rows, values and spans must relate.
enum BlockGeometry {
  /// Rows in `values` values of `shape`.
  static func rowCount(values: Int, _ shape: BlockShape) throws(BlockError) -> Int {
    guard shape.width > 0, values > 0, values % shape.width == 0 else {
      throw .wrongLength(field: .values, count: values, expected: shape.width)
    }
    let rows = values / shape.width
    try checkRows(rows, shape)
    return rows
  }

  static func checkRows(_ rows: Int, _ shape: BlockShape) throws(BlockError) {
    guard rows >= 1, rows <= BlockLimits.rowsMax else {
      throw .outOfRange(field: .rows, value: rows, limit: BlockLimits.rowsMax)
    }
    guard rows * shape.width <= BlockLimits.valuesMax else {
      throw .outOfRange(field: .values, value: rows * shape.width, limit: BlockLimits.valuesMax)
    }
  }

  static func checkBase(_ base: Span<Int64>, _ shape: BlockShape) throws(BlockError) {
    guard base.count == shape.width else {
      throw .wrongLength(field: .base, count: base.count, expected: shape.width)
    }
  }
}

extension BitWriter {
  /// Appends a variable-length integer: seven bits a byte, least significant first.
  mutating func putInteger(_ value: UInt64, into bytes: inout MutableSpan<UInt8>) {
    var rest = value
    while rest > 127 {
      put(rest & 127 | 128, 8, into: &bytes)
      rest >>= 7
    }
    put(rest, 8, into: &bytes)
  }
}

extension BitReader {
  /// Reads a variable-length integer.
  mutating func takeInteger(_ field: BlockError.Field, from bytes: Span<UInt8>) throws(BlockError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      try require(8)
      let byte = take(8, from: bytes)
      guard shift < 63 || byte <= 1 else { throw .integerTooLong(field: field) }
      value |= (byte & 127) << shift
      if byte < 128 { return value }
      shift += 7
    }
  }

  /// Reads an integer from `range`.
  mutating func takeInteger(
    _ field: BlockError.Field, in range: ClosedRange<Int>, from bytes: Span<UInt8>
  ) throws(BlockError) -> Int {
    let value = try takeInteger(field, from: bytes)
    guard value <= UInt64(range.upperBound), Int(value) >= range.lowerBound else {
      throw .outOfRange(field: field, value: Int(clamping: value), limit: range.upperBound)
    }
    return Int(value)
  }
}

extension RawSpan {
  /// A variable-length integer at `position`, which moves behind it.
  func integer(_ position: inout Int, _ field: BlockError.Field) throws(BlockError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < byteCount else { throw .truncated(neededBits: 8, availableBits: 0) }
      let byte = UInt64(self.byte(position))
      position += 1
      guard shift < 63 || byte <= 1 else { throw .integerTooLong(field: field) }
      value |= (byte & 127) << shift
      if byte < 128 { return value }
      shift += 7
    }
  }
}
