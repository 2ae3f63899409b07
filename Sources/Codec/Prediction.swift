/// The predictors, forwards and backwards. All arithmetic wraps, alike on both sides.
enum Prediction {
  /// Differences of the column's predicted cells to their predictions, row by row.
  ///
  /// `values` are all rows of the block, `prior` is the row before the first predicted one, `milliseconds` the distance
  /// of each row to the one before.
  static func difference(
    _ predictor: Predictor, _ plan: ColumnPlan, _ range: CellRange, values: Span<Int64>,
    prior: Span<Int64>, milliseconds: Span<Int64>, into residuals: inout MutableSpan<Int64>
  ) {
    let count = range.count
    let width = range.rowWidth
    var target = 0
    for row in range.firstRow..<range.rows {
      let now = row &* width &+ range.offset
      let before = now &- width
      if row == range.firstRow || predictor == .none {
        for device in 0..<count {
          let reference = predictor == .none ? 0 : prior.at(range.offset &+ device)
          residuals.set(target &+ device, values.at(now &+ device) &- reference)
        }
      } else {
        for device in 0..<count {
          residuals.set(target &+ device, values.at(now &+ device) &- values.at(before &+ device))
        }
      }
      target &+= count
    }
    switch predictor {
    case .trend: differenceAgain(range, into: &residuals)
    case .natural where plan.powerOffset >= 0:
      subtractEnergy(plan, range, values: values, prior: prior, milliseconds: milliseconds, into: &residuals)
    case .natural, .previous, .none: break
    }
  }

  /// Replaces differences by differences of differences, last row first.
  private static func differenceAgain(_ range: CellRange, into residuals: inout MutableSpan<Int64>) {
    var index = range.cells &- 1
    while index >= range.count {
      residuals.set(index, residuals.at(index) &- residuals.at(index &- range.count))
      index &-= 1
    }
  }

  private static func subtractEnergy(
    _ plan: ColumnPlan, _ range: CellRange, values: Span<Int64>, prior: Span<Int64>,
    milliseconds: Span<Int64>, into residuals: inout MutableSpan<Int64>
  ) {
    var target = 0
    for row in range.firstRow..<range.rows {
      let now = row &* range.rowWidth &+ plan.powerOffset
      for device in 0..<range.count {
        let old =
          row == range.firstRow
          ? prior.at(plan.powerOffset &+ device) : values.at(now &- range.rowWidth &+ device)
        let step = energyStep(old, values.at(now &+ device), milliseconds: milliseconds.at(row))
        residuals.set(target, residuals.at(target) &- step)
        target &+= 1
      }
    }
  }

  /// Whether the column's cells are those of `prior` in all predicted rows.
  static func repeatsPrior(_ range: CellRange, values: Span<Int64>, prior: Span<Int64>) -> Bool {
    for row in range.firstRow..<range.rows {
      for position in range.offset..<(range.offset &+ range.count)
      where values.at(row &* range.rowWidth &+ position) != prior.at(position) {
        return false
      }
    }
    return true
  }

  /// Sets the column's cells in all predicted rows to those of `prior`.
  static func repeatPrior(_ range: CellRange, prior: Span<Int64>, rows: inout MutableSpan<Int64>) {
    for row in range.firstRow..<range.rows {
      for position in range.offset..<(range.offset &+ range.count) {
        rows.set(row &* range.rowWidth &+ position, prior.at(position))
      }
    }
  }

  /// Rebuilds the column's cells in `rows` from `residuals`, which are row by row.
  static func restore(
    _ predictor: Predictor, _ plan: ColumnPlan, _ range: CellRange, residuals: inout MutableSpan<Int64>,
    prior: Span<Int64>, milliseconds: Span<Int64>, rows: inout MutableSpan<Int64>
  ) {
    if predictor == .trend {
      for index in range.count..<Swift.max(range.cells, range.count) {
        residuals.set(index, residuals.at(index) &+ residuals.at(index &- range.count))
      }
    }
    let usesEnergy = predictor == .natural && plan.powerOffset >= 0
    var source = 0
    for row in range.firstRow..<range.rows {
      let now = row &* range.rowWidth &+ range.offset
      let isFirst = row == range.firstRow
      for device in 0..<range.count {
        let before = isFirst ? prior.at(range.offset &+ device) : rows.at(now &- range.rowWidth &+ device)
        var value = residuals.at(source &+ device) &+ (predictor == .none ? 0 : before)
        if usesEnergy {
          let power = row &* range.rowWidth &+ plan.powerOffset &+ device
          let old = isFirst ? prior.at(plan.powerOffset &+ device) : rows.at(power &- range.rowWidth)
          value = value &+ energyStep(old, rows.at(power), milliseconds: milliseconds.at(row))
        }
        rows.set(now &+ device, value)
      }
      source &+= range.count
    }
  }
}
