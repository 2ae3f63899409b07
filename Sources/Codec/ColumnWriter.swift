/// Writes the columns of a block: a map of the active ones, then each of those.
struct ColumnWriter {
  private var chooser = ColumnChooser()
  /// Residuals under trial and fields to write, as many as the widest column of a block has cells.
  private var trial: [Int64] = []
  private var fields: [UInt64] = []
  private var turned: [UInt64] = []
  /// Fields of a first row that stands alone.
  private var seed: [UInt64] = []

  /// Makes room for blocks of `rows` rows.
  mutating func reserve(rows: Int, _ shape: BlockShape) {
    let cells = rows * shape.devicesMax
    if seed.count < shape.devicesMax { seed = Array(repeating: 0, count: shape.devicesMax) }
    guard trial.count < cells else { return }
    trial = Array(repeating: 0, count: cells)
    fields = Array(repeating: 0, count: cells)
    turned = Array(repeating: 0, count: cells)
  }

  /// Appends all columns of `rows`, in which nothing is absent.
  mutating func put(
    _ rows: Span<Int64>, base: Span<Int64>?, _ shape: BlockShape, milliseconds: Span<Int64>,
    _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    // Spans of a property would hold all of `self`, so the scratch is moved out for the time of the call.
    var trialScratch = trial.moveOut()
    var fieldScratch = fields.moveOut()
    var seedScratch = seed.moveOut()
    var turnedScratch = turned.moveOut()
    defer {
      seed = seedScratch
      turned = turnedScratch
      trial = trialScratch
      fields = fieldScratch
    }
    var trialSpan = trialScratch.mutableSpan
    var turnedSpan = turnedScratch.mutableSpan
    var seedSpan = seedScratch.mutableSpan
    var fieldSpan = fieldScratch.mutableSpan
    let count = rows.count / shape.width
    if count == 1, let base {
      RowWriter.put(
        rows, base: base, shape, milliseconds: milliseconds.at(0), &fieldSpan, &writer, into: &bytes)
      return
    }
    let map = ActiveMap(&writer, shape, into: &bytes)
    let firstRow = base == nil ? 1 : 0
    var prior = rows.extracting(first: shape.width)
    if let base { prior = base }
    for (index, plan) in shape.columns.enumerated() where plan.count > 0 {
      let range = CellRange(
        rowWidth: shape.width, offset: plan.offset, count: plan.count, firstRow: firstRow, rows: count)
      let coding =
        range.cells > 0
        ? chooser.choose(
          plan, range, values: rows, prior: prior, milliseconds: milliseconds, trial: &trialSpan, fields: &fieldSpan,
          turned: &turnedSpan)
        : nil
      if firstRow == 1 {
        guard coding != nil || !Self.isZero(rows, plan) else { continue }
        Self.putSeed(rows, plan, &seedSpan, selectors: &turnedSpan, &writer, into: &bytes)
        if coding == nil && range.cells > 0 { writer.put(UInt64(ColumnForm.plain << 5), 8, into: &bytes) }
      }
      if let coding { Self.put(coding, plan, range, fieldSpan.span, selectors: &turnedSpan, &writer, into: &bytes) }
      if coding != nil || firstRow == 1 { map.mark(index, in: &bytes) }
    }
  }

  private static func isZero(_ row: Span<Int64>, _ plan: ColumnPlan) -> Bool {
    for index in plan.offset..<(plan.offset &+ plan.count) where row.at(index) != 0 { return false }
    return true
  }

  /// Appends the first row of a block that stands alone: what its values exceed the smallest of them by.
  private static func putSeed(
    _ row: Span<Int64>, _ plan: ColumnPlan, _ fields: inout MutableSpan<UInt64>,
    selectors: inout MutableSpan<UInt64>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    var coding = ColumnCoding()
    coding.isUnsigned = true
    var smallest = Int64.max
    for index in plan.offset..<(plan.offset + plan.count) { smallest = Swift.min(smallest, row.at(index)) }
    var isScaled = true
    for index in plan.offset..<(plan.offset + plan.count) where !plan.naturalScale.divides(row.at(index)) {
      isScaled = false
    }
    if isScaled { coding.scale = plan.naturalScale }
    coding.offset = smallest / coding.scale.factor
    var widest: UInt64 = 0
    for index in 0..<plan.count {
      let field = coding.field(row.at(plan.offset + index))
      widest |= field
      fields.set(index, field)
    }
    let size = Swift.min(plan.count, GroupPacking.sizeMax)
    coding.classes[0] = WidthCode.code(of: widest)
    writer.put(UInt64(coding.classes[0]), 8, into: &bytes)
    writer.put(UInt64(coding.scale.code), 8, into: &bytes)
    writer.putInteger(ZigZag.encode(coding.offset), into: &bytes)
    putGroups(
      coding, fields.span, cells: plan.count, size: size, selectors: &selectors, &writer, into: &bytes)
  }

  /// Appends one column's coding and the fields the chooser left.
  private static func put(
    _ coding: ColumnCoding, _ plan: ColumnPlan, _ range: CellRange, _ fields: Span<UInt64>,
    selectors: inout MutableSpan<UInt64>, _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    if let form = coding.form(plan) {
      writer.put(UInt64(form << 5 | coding.classes[0] & 31), 8, into: &bytes)
    } else {
      let structure = coding.predictor.rawValue | UInt8(coding.selectorBits) << 2 | (coding.isDeviceMajor ? 16 : 0)
      writer.put(UInt64(ColumnForm.extended << 5 | structure), 8, into: &bytes)
      let hasOffset = coding.offset != 0
      writer.put(UInt64(coding.scale.code | (coding.isUnsigned ? 16 : 0) | (hasOffset ? 32 : 0)), 8, into: &bytes)
      if hasOffset { writer.putInteger(ZigZag.encode(coding.offset), into: &bytes) }
      for index in 0..<(1 << coding.selectorBits) { writer.put(UInt64(coding.classes[index]), 8, into: &bytes) }
    }
    let size = coding.groupSize(plan)
    putGroups(
      coding, fields, cells: range.cells, size: size, selectors: &selectors, &writer, into: &bytes)
  }

  /// Appends `cells` fields in groups of `size`: first which class each group has, then the groups. `selectors` is
  /// scratch for one word per group.
  private static func putGroups(
    _ coding: ColumnCoding, _ fields: Span<UInt64>, cells: Int, size: Int, selectors: inout MutableSpan<UInt64>,
    _ writer: inout BitWriter, into bytes: inout MutableSpan<UInt8>
  ) {
    if coding.selectorBits > 0 {
      for group in 0..<((cells &+ size &- 1) / size) {
        let start = group &* size
        let selector = GroupShapes.selector(
          coding, fields, from: start, size: min(size, cells &- start), groupSize: size)
        selectors.set(group, UInt64(selector))
        writer.put(UInt64(selector), coding.selectorBits, into: &bytes)
      }
    }
    for group in 0..<((cells &+ size &- 1) / size) {
      let start = group &* size
      let selector = coding.selectorBits == 0 ? 0 : Int(selectors.at(group))
      GroupPacking.put(
        fields, from: start, size: min(size, cells &- start), groupSize: size, as: coding.classes[selector], &writer,
        into: &bytes)
    }
  }
}

/// The map of active columns, one bit each in coding order: a column that is not in it repeats the row before, or in a
/// block that stands alone is zero throughout.
struct ActiveMap {
  private let start: Int

  /// Appends an empty map.
  init(_ writer: inout BitWriter, _ shape: BlockShape, into bytes: inout MutableSpan<UInt8>) {
    start = writer.position / 8
    for _ in 0..<shape.activeBytes { writer.put(0, 8, into: &bytes) }
  }

  /// Adds column number `index` of the coding order.
  func mark(_ index: Int, in bytes: inout MutableSpan<UInt8>) {
    bytes[start + index / 8] |= 1 << UInt8(index & 7)
  }
}

extension ColumnCoding {
  /// The form that describes it in one byte, `nil` when it needs the extended one.
  func form(_ plan: ColumnPlan) -> UInt8? {
    guard selectorBits == 0, !isDeviceMajor, offset == 0 else { return nil }
    let packing = classes[0] >> 5
    if predictor == .natural && isUnsigned == plan.isUnsigned {
      if scale.code == plan.naturalScale.code { return ColumnForm.natural + packing }
      if scale.code == plan.alternateScale.code { return ColumnForm.alternate + packing }
    }
    let isPlain = predictor == .previous(for: plan) && !isUnsigned && scale.code == 0
    return isPlain && packing == Packing.dense.rawValue ? ColumnForm.plain : nil
  }
}
