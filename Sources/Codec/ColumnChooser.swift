/// Finds a small coding for a column of several rows: tries each predictor that may suit the metric, with and without a
/// common offset, then picks up to eight classes of group layout.
///
/// Residuals are estimated by the widest value of each group, so that one pass over a candidate prices it.
struct ColumnChooser {
  private var shapes = GroupShapes()

  /// The coding with the smallest estimate. `fields` then holds the column's fields in the order of its groups; `trial` is
  /// scratch for as many residuals.
  ///
  /// `nil` when every predicted cell equals the one before it, so that the column need not be stored.
  mutating func choose(
    _ plan: ColumnPlan, _ range: CellRange, values: Span<Int64>, prior: Span<Int64>,
    milliseconds: Span<Int64>, trial: inout MutableSpan<Int64>, fields: inout MutableSpan<UInt64>
  ) -> ColumnCoding? {
    var best = ColumnCoding()
    var bestBits = Int.max
    for candidate in Self.candidates(plan, rows: range.rows - range.firstRow) {
      Prediction.difference(
        candidate, plan, range, values: values, prior: prior, milliseconds: milliseconds, into: &trial)
      guard let spread = Spread(trial.span, count: range.cells) else { continue }
      if spread.isZero && candidate == .previous(for: plan) { return nil }
      for isUnsigned in [false, true] {
        guard let priced = Self.price(candidate, isUnsigned: isUnsigned, spread, plan, range, trial.span) else {
          continue
        }
        if priced.bits < bestBits {
          bestBits = priced.bits
          best = priced.coding
        }
      }
    }
    precondition(bestBits < Int.max, "differences to the previous row always fit a field")
    finish(
      &best, plan, range, values: values, prior: prior, milliseconds: milliseconds, trial: &trial, fields: &fields)
    return best
  }

  /// Predictors worth a trial for the column's kind.
  private static func candidates(_ plan: ColumnPlan, rows: Int) -> [Predictor] {
    var list: [Predictor] = plan.powerOffset >= 0 ? [.natural, .previous] : [.natural]
    if rows > 2 { list.append(.trend) }
    list.append(.none)
    return list
  }

  private static func price(
    _ predictor: Predictor, isUnsigned: Bool, _ spread: Spread, _ plan: ColumnPlan, _ range: CellRange,
    _ residuals: Span<Int64>
  ) -> (coding: ColumnCoding, bits: Int)? {
    var coding = ColumnCoding()
    coding.predictor = predictor
    coding.scale = spread.scale
    coding.isUnsigned = isUnsigned
    coding.offset = isUnsigned && !(spread.minimum >= 0 && spread.minimum < spread.maximum / 4) ? spread.minimum : 0
    guard coding.largestField(spread) <= 1 << UInt64(BlockLimits.fieldBitsMax) - 1 else { return nil }
    var bits = 8
    let size = coding.groupSize(plan)
    var start = 0
    while start < range.cells {
      let end = Swift.min(start + size, range.cells)
      var widest: UInt64 = 0
      var present = 0
      for index in start..<end {
        let field = coding.field(residuals.at(index))
        widest |= field
        present &+= field == 0 ? 0 : 1
      }
      let width = 64 - widest.leadingZeroBitCount
      bits += Swift.min((end - start) * width, end - start + present * width)
      start = end
    }
    if coding.form(plan) == nil {
      bits += 16 + (coding.offset == 0 ? 0 : 8 + 64 - coding.offset.magnitude.leadingZeroBitCount)
    }
    return (coding, bits)
  }

  /// Computes the fields of the chosen candidate and its classes, along rows or along devices.
  private mutating func finish(
    _ best: inout ColumnCoding, _ plan: ColumnPlan, _ range: CellRange, values: Span<Int64>,
    prior: Span<Int64>, milliseconds: Span<Int64>, trial: inout MutableSpan<Int64>,
    fields: inout MutableSpan<UInt64>
  ) {
    Prediction.difference(
      best.predictor, plan, range, values: values, prior: prior, milliseconds: milliseconds, into: &trial)
    let alongRows = shapes.choose(for: best, plan, range, trial.span)
    if range.count > 1 && range.rows - range.firstRow >= 8 {
      var turned = best
      turned.isDeviceMajor = true
      let alongDevices = shapes.choose(for: turned, plan, range, trial.span)
      best = alongDevices.bits < alongRows.bits ? alongDevices.coding : alongRows.coding
    } else {
      best = alongRows.coding
    }
    best.fields(of: trial.span, range, into: &fields)
  }
}

/// The extent of a column's residuals and the largest factor common to them.
struct Spread {
  let scale: Scale
  /// Smallest and largest residual, in units of the scale.
  let minimum: Int64
  let maximum: Int64
  var isZero: Bool { minimum == 0 && maximum == 0 }

  /// `nil` when a residual is too wide for any coding.
  init?(_ residuals: Span<Int64>, count: Int) {
    var low = Int64.max
    var high = Int64.min
    for index in 0..<count {
      low = Swift.min(low, residuals.at(index))
      high = Swift.max(high, residuals.at(index))
    }
    guard low >= -(1 << 56), high <= 1 << 56 else { return nil }
    scale = low == 0 && high == 0 ? .one : Self.commonScale(residuals, count: count)
    minimum = low / scale.factor
    maximum = high / scale.factor
  }

  private static func commonScale(_ residuals: Span<Int64>, count: Int) -> Scale {
    var found = Scale.one
    for scale in Scale.all where scale.factor > found.factor {
      var index = 0
      while index < count && scale.divides(residuals.at(index)) { index += 1 }
      if index == count { found = scale }
    }
    return found
  }
}

extension ColumnCoding {
  /// The field that stores `residual`, which the scale divides.
  @inline(__always)
  func field(_ residual: Int64) -> UInt64 {
    let quotient = scale.quotient(residual)
    return isUnsigned ? UInt64(bitPattern: quotient &- offset) : ZigZag.encode(quotient)
  }

  /// The widest field of residuals in `spread`.
  func largestField(_ spread: Spread) -> UInt64 {
    if isUnsigned {
      guard spread.minimum >= offset else { return UInt64.max }
      return UInt64(bitPattern: spread.maximum &- offset)
    }
    return Swift.max(ZigZag.encode(spread.minimum), ZigZag.encode(spread.maximum))
  }

  /// The fields of `residuals` (row by row) in the order of the coding's groups.
  func fields(of residuals: Span<Int64>, _ range: CellRange, into fields: inout MutableSpan<UInt64>) {
    guard isDeviceMajor else {
      for index in 0..<range.cells { fields.set(index, field(residuals.at(index))) }
      return
    }
    let rows = range.rows - range.firstRow
    for device in 0..<range.count {
      for row in 0..<rows { fields.set(device * rows + row, field(residuals.at(row * range.count + device))) }
    }
  }
}

extension Predictor {
  /// The predictor that takes the previous row as it is.
  static func previous(for plan: borrowing ColumnPlan) -> Predictor { plan.powerOffset >= 0 ? .previous : .natural }
}
