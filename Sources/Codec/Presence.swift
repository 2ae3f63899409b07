private import BongsuModel

/// Which values are absent. Nothing is stored while every row lacks the same values as the row before it: the base, or
/// in a block that stands alone a row in which all are present.
///
/// Otherwise each column has two bits: as before, all present, all absent, or a list of changes. A change is the
/// number of cells since the last one, row by row; a list that would be longer than one bit per cell becomes a bitmap.
///
/// Where a value is absent the columns hold a filler, so that predictions never meet `Int64.min`: the encoder
/// picks one that costs nothing, the decoder replaces it at the end.
enum Presence {
  static var absent: Int64 { Int64.min }
  static var magnitudeMax: Int64 { BongsuModel.Limits.sampleMagnitudeMax }
  private static let same: UInt64 = 0
  private static let present: UInt64 = 1
  private static let missing: UInt64 = 2
  private static let listed: UInt64 = 3

  /// A number below 2^54 for readings within the magnitude limit, but for the limit itself, which gives 2^54. The
  /// disjunction of several stays below only if all do.
  @inline(__always)
  static func extent(_ value: Int64) -> UInt64 { UInt64(bitPattern: value &+ magnitudeMax) }

  /// Whether some value is absent; refuses readings beyond the magnitude limit.
  static func check(_ values: Span<Int64>, _ shape: BlockShape) throws(BlockError) -> Bool {
    let limit = magnitudeMax
    var combined: UInt64 = 0
    for index in 0..<values.count { combined |= extent(values.at(index)) }
    if combined < UInt64(limit) * 2 { return false }
    var hasAbsence = false
    for index in 0..<values.count {
      let value = values[index]
      if value == absent {
        hasAbsence = true
      } else if value.magnitude > UInt64(limit) {
        throw .valueTooLarge(column: shape.column(at: index % shape.width), value: value)
      }
    }
    return hasAbsence
  }

  /// Refuses readings beyond the magnitude limit, and the word for absence among them.
  static func refuseAbsent(_ values: Span<Int64>, _ shape: BlockShape) throws(BlockError) {
    guard try check(values, shape) else { return }
    for index in 0..<values.count where values[index] == absent {
      throw .valueTooLarge(column: shape.column(at: index % shape.width), value: absent)
    }
  }

  /// Whether some row lacks other values than the row before it.
  static func changes(_ rows: Span<Int64>, from base: Span<Int64>?, _ shape: BlockShape) -> Bool {
    let width = shape.width
    for index in 0..<rows.count {
      let before = index >= width ? rows.at(index &- width) : base?.at(index) ?? 0
      if (rows.at(index) == absent) != (before == absent) { return true }
    }
    return false
  }

  /// Appends the presence of all columns.
  static func put(
    _ rows: Span<Int64>, from base: Span<Int64>?, _ shape: BlockShape, _ writer: inout BitWriter,
    into bytes: inout MutableSpan<UInt8>
  ) {
    for plan in shape.columns { writer.put(code(rows, base, plan, shape.width), 2, into: &bytes) }
    writer.align()
    for plan in shape.columns where code(rows, base, plan, shape.width) == listed {
      putList(rows, base, plan, shape.width, &writer, into: &bytes)
    }
  }

  private static func code(_ rows: Span<Int64>, _ base: Span<Int64>?, _ plan: ColumnPlan, _ width: Int) -> UInt64 {
    var changes = false
    var absences = 0
    var cells = 0
    var start = plan.offset
    while start < rows.count {
      for index in start..<(start + plan.count) {
        let before = index >= width ? rows.at(index - width) : base?.at(index) ?? 0
        let isAbsent = rows.at(index) == absent
        if isAbsent != (before == absent) { changes = true }
        absences += isAbsent ? 1 : 0
        cells += 1
      }
      start += width
    }
    return !changes ? same : absences == 0 ? present : absences == cells ? missing : listed
  }

  private static func putList(
    _ rows: Span<Int64>, _ base: Span<Int64>?, _ plan: ColumnPlan, _ width: Int, _ writer: inout BitWriter,
    into bytes: inout MutableSpan<UInt8>
  ) {
    var changes = 0
    visit(rows, base, plan, width) { _, _, isChange in changes += isChange ? 1 : 0 }
    let cells = rows.count / width * plan.count
    guard changes <= cells / 8 else {
      writer.putInteger(0, into: &bytes)
      visit(rows, base, plan, width) { _, isAbsent, _ in writer.put(isAbsent ? 0 : 1, 1, into: &bytes) }
      writer.align()
      return
    }
    writer.putInteger(UInt64(changes), into: &bytes)
    var next = 0
    visit(rows, base, plan, width) { cell, _, isChange in
      if isChange {
        writer.putInteger(UInt64(cell - next), into: &bytes)
        next = cell + 1
      }
    }
  }

  private static func visit(
    _ rows: Span<Int64>, _ base: Span<Int64>?, _ plan: ColumnPlan, _ width: Int,
    _ body: (_ cell: Int, _ isAbsent: Bool, _ isChange: Bool) -> Void
  ) {
    var cell = 0
    var start = plan.offset
    while start < rows.count {
      for index in start..<(start + plan.count) {
        let before = index >= width ? rows.at(index - width) : base?.at(index) ?? 0
        let isAbsent = rows.at(index) == absent
        body(cell, isAbsent, isAbsent != (before == absent))
        cell += 1
      }
      start += width
    }
  }

  /// Copies rows and base with a filler for each absent value: the last reading of the device, before its first one
  /// that one, and what the base lacks is 0.
  static func fill(
    _ rows: Span<Int64>, base: Span<Int64>?, _ shape: BlockShape, filledRows: inout [Int64], filledBase: inout [Int64]
  ) {
    let width = shape.width
    if filledRows.count < rows.count { filledRows = Array(repeating: 0, count: rows.count) }
    if filledBase.count < width { filledBase = Array(repeating: 0, count: width) }
    var target = filledRows.mutableSpan
    for index in 0..<width {
      let before = base?.at(index) ?? absent
      filledBase[index] = before == absent ? 0 : before
      var last = before
      if last == absent {
        var later = index
        while later < rows.count && rows.at(later) == absent { later += width }
        last = later < rows.count ? rows.at(later) : 0
      }
      var cell = index
      while cell < rows.count {
        if rows.at(cell) != absent { last = rows.at(cell) }
        target.set(cell, last)
        cell += width
      }
    }
  }
}

/// Presence on its way back: read first, applied to the decoded rows last.
extension Presence {
  /// Marks in `marks`, one byte per cell, 1 for each absent value.
  static func take(
    _ marks: inout [UInt8], rows: Int, base: Span<Int64>?, _ shape: BlockShape, _ reader: inout BitReader,
    _ bytes: Span<UInt8>
  ) throws(BlockError) {
    let bits = (shape.columns.count * 2 + 7) & ~7
    try reader.require(bits)
    var codes = reader
    reader.skip(bits)
    for plan in shape.columns {
      let code = codes.take(2, from: bytes)
      try takeColumn(code, plan, &marks, rows: rows, base: base, shape.width, &reader, bytes)
    }
  }

  private static func takeColumn(
    _ code: UInt64, _ plan: ColumnPlan, _ marks: inout [UInt8], rows: Int, base: Span<Int64>?, _ width: Int,
    _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) {
    let cells = rows * plan.count
    func position(_ cell: Int) -> Int { cell / plan.count * width + plan.offset + cell % plan.count }
    let isBase = code == same || code == listed
    for cell in 0..<cells {
      let before = base?.at(plan.offset + cell % plan.count) ?? 0
      marks[position(cell)] = (isBase ? before == absent : code == missing) ? 1 : 0
    }
    guard code == listed else { return }
    let changes = try reader.takeInteger(.presence, in: 0...cells, from: bytes)
    if changes == 0 {
      let bits = (cells + 7) & ~7
      try reader.require(bits)
      for cell in 0..<cells { marks[position(cell)] = reader.take(1, from: bytes) == 0 ? 1 : 0 }
      _ = reader.take(bits - cells, from: bytes)
      return
    }
    var next = 0
    for _ in 0..<changes {
      let cell = next + (try reader.takeInteger(.presence, in: 0...cells, from: bytes))
      guard cell < cells else { throw .outOfRange(field: .presence, value: cell, limit: cells - 1) }
      marks[position(cell)] |= 2
      next = cell + 1
    }
    // A change holds until the device's next one.
    for cell in 0..<cells {
      let before = cell < plan.count ? marks[position(cell)] & 1 : marks[position(cell - plan.count)]
      marks[position(cell)] = before ^ (marks[position(cell)] >> 1)
    }
  }

  /// Replaces the fillers of marked cells.
  static func apply(_ marks: Span<UInt8>, to rows: inout MutableSpan<Int64>, count: Int) {
    for cell in 0..<count where marks[cell] != 0 { rows.set(cell, absent) }
  }

  /// Replaces the fillers in every row where `base` has none.
  static func apply(base: Span<Int64>, to rows: inout MutableSpan<Int64>, count: Int) {
    for index in 0..<base.count where base.at(index) == absent {
      var cell = index
      while cell < count {
        rows.set(cell, absent)
        cell += base.count
      }
    }
  }
}
