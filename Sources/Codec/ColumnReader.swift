/// Reads the columns of a block back into rows.
struct ColumnReader {
  private var residuals: [Int64] = []
  private var turned: [Int64] = []

  /// Makes room for blocks of `rows` rows.
  mutating func reserve(rows: Int, _ shape: BlockShape) {
    let cells = rows * shape.devicesMax
    guard residuals.count < cells else { return }
    residuals = Array(repeating: 0, count: cells)
    turned = Array(repeating: 0, count: cells)
  }

  /// Rebuilds all columns of the first `count` rows in `rows`.
  ///
  /// `prior` is the base with fillers for what it lacks; in a block that stands alone it is scratch for the first row.
  mutating func take(
    _ rows: inout MutableSpan<Int64>, count: Int, isBased: Bool, prior: inout MutableSpan<Int64>, _ shape: BlockShape,
    milliseconds: Span<Int64>, _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) {
    // Spans of a property would hold all of `self`, so the scratch is moved out for the time of the call.
    var residualScratch = residuals.moveOut()
    var turnedScratch = turned.moveOut()
    defer {
      residuals = residualScratch
      turned = turnedScratch
    }
    var fields = residualScratch.mutableSpan
    var turnedFields = turnedScratch.mutableSpan
    let mapBits = shape.activeBytes * 8
    try reader.require(mapBits)
    var map = reader
    reader.skip(mapBits)
    let firstRow = isBased ? 0 : 1
    for plan in shape.columns {
      let isActive = map.take(1, from: bytes) != 0
      // A column without devices has nothing to store.
      guard plan.count > 0 || !isActive else { throw .reservedBits(field: .activeColumns, value: plan.column) }
      let range = CellRange(
        rowWidth: shape.width, offset: plan.offset, count: plan.count, firstRow: firstRow, rows: count)
      if !isBased { try Self.takeSeed(&rows, plan, &prior, isActive: isActive, &fields, &reader, bytes) }
      if range.cells == 0 { continue }
      guard isActive else {
        Prediction.repeatPrior(range, prior: prior.span, rows: &rows)
        continue
      }
      let coding = try ColumnCoding(plan, &reader, bytes)
      try Self.takeGroups(coding, cells: range.cells, size: coding.groupSize(plan), &fields, &reader, bytes)
      if coding.isDeviceMajor {
        coding.residuals(from: fields.span, range, into: &turnedFields)
        Prediction.restore(
          coding.predictor, plan, range, residuals: &turnedFields, prior: prior.span, milliseconds: milliseconds,
          rows: &rows)
      } else {
        for index in 0..<range.cells { fields.set(index, coding.residual(UInt64(bitPattern: fields.at(index)))) }
        Prediction.restore(
          coding.predictor, plan, range, residuals: &fields, prior: prior.span, milliseconds: milliseconds,
          rows: &rows)
      }
    }
    let padding = map.take(mapBits - shape.columns.count, from: bytes)
    guard padding == 0 else { throw .reservedBits(field: .activeColumns, value: Int(padding)) }
  }

  private static func takeSeed(
    _ rows: inout MutableSpan<Int64>, _ plan: ColumnPlan, _ prior: inout MutableSpan<Int64>, isActive: Bool,
    _ fields: inout MutableSpan<Int64>, _ reader: inout BitReader, _ bytes: Span<UInt8>
  ) throws(BlockError) {
    guard isActive, plan.count > 0 else {
      for index in plan.offset..<(plan.offset + plan.count) {
        rows.set(index, 0)
        prior.set(index, 0)
      }
      return
    }
    var coding = ColumnCoding()
    coding.isUnsigned = true
    try reader.require(16)
    coding.classes[0] = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    let scale = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    guard scale < 16 else { throw .reservedBits(field: .columnHeader, value: Int(scale)) }
    coding.scale = Scale.all[Int(scale)]
    coding.offset = ZigZag.decode(try reader.takeInteger(.offset, from: bytes))
    let size = Swift.min(plan.count, GroupPacking.sizeMax)
    try takeGroups(coding, cells: plan.count, size: size, &fields, &reader, bytes)
    for index in 0..<plan.count {
      let value = coding.residual(UInt64(bitPattern: fields.at(index)))
      rows.set(plan.offset + index, value)
      prior.set(plan.offset + index, value)
    }
  }

  private static func takeGroups(
    _ coding: ColumnCoding, cells: Int, size: Int, _ fields: inout MutableSpan<Int64>, _ reader: inout BitReader,
    _ bytes: Span<UInt8>
  ) throws(BlockError) {
    let groups = (cells + size - 1) / size
    try reader.require(groups * coding.selectorBits)
    var selectors = reader
    reader.skip(groups * coding.selectorBits)
    var start = 0
    while start < cells {
      let count = Swift.min(size, cells - start)
      let selector = Int(selectors.take(coding.selectorBits, from: bytes))
      try GroupPacking.take(
        &fields, from: start, size: count, groupSize: size, as: coding.classes[selector], &reader, bytes)
      start += count
    }
  }
}

extension ColumnCoding {
  /// Reads a column's coding.
  init(_ plan: ColumnPlan, _ reader: inout BitReader, _ bytes: Span<UInt8>) throws(BlockError) {
    self.init()
    try reader.require(8)
    let first = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    switch first >> 5 {
    case ColumnForm.extended:
      try takeExtended(first & 31, &reader, bytes)
    case ColumnForm.plain:
      predictor = .previous(for: plan)
      classes[0] = first & 31
    default:
      let isNatural = first >> 5 < ColumnForm.alternate
      scale = isNatural ? plan.naturalScale : plan.alternateScale
      isUnsigned = plan.isUnsigned
      classes[0] = first - (isNatural ? 0 : ColumnForm.alternate << 5)
    }
  }

  private mutating func takeExtended(_ structure: UInt8, _ reader: inout BitReader, _ bytes: Span<UInt8>)
    throws(BlockError)
  {
    predictor = Predictor(rawValue: structure & 3) ?? .natural
    selectorBits = Int(structure >> 2 & 3)
    isDeviceMajor = structure & 16 != 0
    try reader.require(8)
    let second = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    guard second < 64 else { throw .reservedBits(field: .columnHeader, value: Int(second)) }
    scale = Scale.all[Int(second & 15)]
    isUnsigned = second & 16 != 0
    if second & 32 != 0 { offset = ZigZag.decode(try reader.takeInteger(.offset, from: bytes)) }
    try reader.require(8 << selectorBits)
    for index in 0..<(1 << selectorBits) {
      classes[index] = UInt8(truncatingIfNeeded: reader.take(8, from: bytes))
    }
  }

  /// The residuals of `fields`, which are device by device, row by row.
  func residuals(from fields: Span<Int64>, _ range: CellRange, into residuals: inout MutableSpan<Int64>) {
    let rows = range.rows - range.firstRow
    for device in 0..<range.count {
      for row in 0..<rows {
        residuals.set(row * range.count + device, residual(UInt64(bitPattern: fields.at(device * rows + row))))
      }
    }
  }

  /// The residual that `field` stores.
  @inline(__always)
  func residual(_ field: UInt64) -> Int64 {
    (isUnsigned ? Int64(bitPattern: field) &+ offset : ZigZag.decode(field)) &* scale.factor
  }
}
