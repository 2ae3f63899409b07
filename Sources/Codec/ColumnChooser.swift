/// Finds a small coding for a column of several rows: tries each predictor that may suit the metric, with and without a
/// common offset, then picks up to eight classes of group layout, along rows or along devices.
///
/// Candidates are priced by the extent of each group of residuals, so that one pass over a candidate prices it with and
/// without sign.
struct ColumnChooser {
  private var shapes = GroupShapes()

  /// The coding with the smallest estimate. `fields` then holds the column's fields in the order of its groups; `trial`
  /// and `turned` are scratch for as many residuals.
  ///
  /// `nil` when every predicted cell equals the one before it, so that the column need not be stored.
  mutating func choose(
    _ plan: ColumnPlan, _ range: CellRange, values: Span<Int64>, prior: Span<Int64>, milliseconds: Span<Int64>,
    trial: inout MutableSpan<Int64>, fields: inout MutableSpan<UInt64>, turned: inout MutableSpan<UInt64>
  ) -> ColumnCoding? {
    if Prediction.repeatsPrior(range, values: values, prior: prior) { return nil }
    var best = ColumnCoding()
    var bestBits = Int.max
    var tried: Predictor = .none
    for candidate in [Predictor.natural, .previous, .trend, .none] where Self.suits(candidate, plan, range) {
      Prediction.difference(
        candidate, plan, range, values: values, prior: prior, milliseconds: milliseconds, into: &trial)
      tried = candidate
      guard let extent = ResidualExtent(trial.span, count: range.cells) else { continue }
      var coding = ColumnCoding()
      coding.predictor = candidate
      coding.scale = extent.scale
      Self.price(coding, extent, plan, range, trial.span, &best, &bestBits)
    }
    precondition(bestBits < Int.max, "differences to the previous row always fit a field")
    if tried != best.predictor {
      Prediction.difference(
        best.predictor, plan, range, values: values, prior: prior, milliseconds: milliseconds, into: &trial)
    }
    return pack(best, plan, range, trial.span, fields: &fields, turned: &turned)
  }

  /// Whether `predictor` is worth a trial for the column's kind.
  private static func suits(_ predictor: Predictor, _ plan: ColumnPlan, _ range: CellRange) -> Bool {
    switch predictor {
    case .natural: true
    case .previous: plan.powerOffset >= 0
    // Gauges rarely move along a line; in long blocks it is worth a look.
    case .trend: range.rows &- range.firstRow >= (plan.isCounter ? 3 : 32)
    case .none: !plan.isCounter
    }
  }

  /// Prices `coding` with and without sign and keeps the cheaper one if it beats `best`.
  private static func price(
    _ coding: ColumnCoding, _ extent: ResidualExtent, _ plan: ColumnPlan, _ range: CellRange,
    _ residuals: Span<Int64>, _ best: inout ColumnCoding, _ bestBits: inout Int
  ) {
    var unsigned = coding
    unsigned.isUnsigned = true
    let isNearZero = extent.minimum >= 0 && extent.minimum < extent.maximum / 4
    unsigned.offset = isNearZero ? 0 : extent.minimum
    let factor = coding.scale.factor
    let size = coding.groupSize(plan)
    var signedBits = coding.headerBits(plan)
    var unsignedBits = unsigned.headerBits(plan)
    var start = 0
    while start < range.cells {
      let end = min(start &+ size, range.cells)
      var low = residuals.at(start)
      var high = low
      var present = 0
      for index in start..<end {
        let residual = residuals.at(index)
        low = min(low, residual)
        high = max(high, residual)
        present &+= residual == 0 ? 0 : 1
      }
      if factor != 1 {
        low /= factor
        high /= factor
      }
      let signedWidth = 64 &- max(ZigZag.encode(low), ZigZag.encode(high)).leadingZeroBitCount
      let count = end &- start
      signedBits &+= min(count &* signedWidth, count &+ present &* signedWidth)
      unsignedBits &+= count &* (64 &- UInt64(bitPattern: high &- unsigned.offset).leadingZeroBitCount)
      start = end
    }
    let limit: UInt64 = 1 << UInt64(BlockLimits.fieldBitsMax)
    let signedWidest = max(ZigZag.encode(extent.minimum), ZigZag.encode(extent.maximum))
    if signedWidest < limit, signedBits < bestBits {
      bestBits = signedBits
      best = coding
    }
    if UInt64(bitPattern: extent.maximum &- unsigned.offset) < limit, unsignedBits < bestBits {
      bestBits = unsignedBits
      best = unsigned
    }
  }

  /// Chooses the classes of the residuals' groups, along rows or along devices, and leaves the fields in that order.
  private mutating func pack(
    _ coding: ColumnCoding, _ plan: ColumnPlan, _ range: CellRange, _ residuals: Span<Int64>,
    fields: inout MutableSpan<UInt64>, turned: inout MutableSpan<UInt64>
  ) -> ColumnCoding {
    coding.fields(of: residuals, range, into: &fields)
    let alongRows = shapes.choose(for: coding, plan, fields.span, cells: range.cells)
    guard range.count > 1 && range.rows &- range.firstRow >= 8 else { return alongRows.coding }
    var other = coding
    other.isDeviceMajor = true
    other.fields(of: residuals, range, into: &turned)
    let alongDevices = shapes.choose(for: other, plan, turned.span, cells: range.cells)
    guard alongDevices.bits < alongRows.bits else { return alongRows.coding }
    for index in 0..<range.cells { fields.set(index, turned.at(index)) }
    return alongDevices.coding
  }
}

/// How far a column's residuals reach, and the largest factor common to them.
struct ResidualExtent {
  let scale: Scale
  /// Smallest and largest residual, in units of the scale.
  let minimum: Int64
  let maximum: Int64

  /// `nil` when a residual is too wide for any coding.
  init?(_ residuals: Span<Int64>, count: Int) {
    var low = Int64.max
    var high = Int64.min
    for index in 0..<count {
      low = min(low, residuals.at(index))
      high = max(high, residuals.at(index))
    }
    guard low >= -(1 << 56), high <= 1 << 56 else { return nil }
    scale = low == 0 && high == 0 ? .one : Self.commonScale(residuals, count: count)
    minimum = low / scale.factor
    maximum = high / scale.factor
  }

  /// The largest factor that divides all residuals. Mostly 1, which a few residuals show.
  private static func commonScale(_ residuals: Span<Int64>, count: Int) -> Scale {
    let scales = Scale.descending
    var candidate = 0
    var index = 0
    while index < count {
      if scales[candidate].divides(residuals.at(index)) {
        index &+= 1
        continue
      }
      // Residuals before this one are only known to be multiples of the factor that just failed.
      repeat { candidate &+= 1 } while !scales[candidate].divides(residuals.at(index))
      if scales[candidate].factor == 1 { return .one }
      index = 0
    }
    return scales[candidate]
  }
}

extension ColumnCoding {
  /// The field that stores `residual`, which the scale divides.
  @inline(__always)
  func field(_ residual: Int64) -> UInt64 {
    let quotient = scale.quotient(residual)
    return isUnsigned ? UInt64(bitPattern: quotient &- offset) : ZigZag.encode(quotient)
  }

  /// The fields of `residuals` (row by row) in the order of the coding's groups.
  func fields(of residuals: Span<Int64>, _ range: CellRange, into fields: inout MutableSpan<UInt64>) {
    guard isDeviceMajor else {
      for index in 0..<range.cells { fields.set(index, field(residuals.at(index))) }
      return
    }
    let rows = range.rows - range.firstRow
    for device in 0..<range.count {
      for row in 0..<rows {
        fields.set(device &* rows &+ row, field(residuals.at(row &* range.count &+ device)))
      }
    }
  }

  /// Bits of the column's header with one class.
  func headerBits(_ plan: ColumnPlan) -> Int { form(plan) != nil ? 8 : 24 + offsetBits }

  /// Bits of the offset.
  var offsetBits: Int {
    offset == 0 ? 0 : (64 - ZigZag.encode(offset).leadingZeroBitCount + 6) / 7 * 8
  }
}

extension Predictor {
  /// The predictor that takes the previous row as it is.
  static func previous(for plan: ColumnPlan) -> Predictor { plan.powerOffset >= 0 ? .previous : .natural }
}
