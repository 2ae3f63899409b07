internal import BongsuSeries

/// Evaluates an expression at all instants of a grid at once, series by series.
///
/// A vector is a stream of rows: the labels of a series and one value per instant, absent where the series has none.
/// Rows flow from selectors through functions into aggregations without being collected; only operations that must see
/// several series together (joins, `topk`, quantiles) hold them. A consumer may change the row it is handed.
struct Evaluator {
  typealias Emit = (LabelSet, inout [Double]) throws -> Void

  let run: EvaluationRun
  let grid: TimeGrid

  // MARK: scalars

  /// One value per instant of a scalar expression.
  func scalar(_ expression: Expression) throws -> [Double] {
    switch expression {
    case .number(let value, _): return Array(repeating: value, count: grid.count)
    case .parenthesized(let inner, _): return try scalar(inner)
    case .unary(let isNegation, let inner, _):
      let values = try scalar(inner)
      return isNegation ? values.map { -$0 } : values
    case .binary(let binary):
      var left = try scalar(binary.left)
      let right = try scalar(binary.right)
      for step in 0..<grid.count { left[step] = binary.operation.value(left[step], right[step]) }
      return left
    case .call(let call): return try scalarCall(call)
    default: throw QueryError.execution("expected a scalar, got \(expression.type.rawValue)")
    }
  }

  private func scalarCall(_ call: CallExpression) throws -> [Double] {
    switch call.function.name {
    case "time": return (0..<grid.count).map { Double(grid.time($0)) / 1000 }
    case "pi": return Array(repeating: Double.pi, count: grid.count)
    default:
      var counts = Array(repeating: 0, count: grid.count)
      var values = Array(repeating: Double.nan, count: grid.count)
      try stream(call.arguments[0]) { _, row in
        for step in 0..<grid.count where !row[step].isAbsent {
          counts[step] += 1
          values[step] = row[step]
        }
      }
      for step in 0..<grid.count where counts[step] != 1 { values[step] = .nan }
      return values
    }
  }

  // MARK: vectors

  /// Passes every series of an instant vector on. Rows without any value may be passed.
  func stream(_ expression: Expression, _ emit: Emit) throws {
    switch expression {
    case .selector(let selector): try streamSelector(selector, sampleTimes: false, emit)
    case .parenthesized(let inner, _): try stream(inner, emit)
    case .unary(let isNegation, let inner, _):
      guard isNegation else { return try stream(inner, emit) }
      try droppingNames(of: inner, refusesEqualLabels: true, emit) { row in
        for step in 0..<row.count where !row[step].isAbsent { row[step] = -row[step] }
      }
    case .binary(let binary): try streamBinary(binary, emit)
    case .aggregate(let aggregate): try streamAggregate(aggregate, emit)
    case .call(let call): try streamCall(call, emit)
    case .number, .string, .window, .subquery:
      throw QueryError.execution("expected an instant vector, got \(expression.type.rawValue)")
    }
  }

  /// Collects a vector, leaving out series without any value.
  func collect(_ expression: Expression) throws -> SeriesMatrix {
    var matrix = SeriesMatrix(steps: grid.count)
    try stream(expression) { labels, row in
      if row.isAllAbsent { return }
      try run.hold(samples: row.count)
      matrix.append(labels, row)
    }
    return matrix
  }

  /// Streams a vector with its rows changed and metric names dropped.
  ///
  /// Series that differ in nothing but the name become one, or are refused where they meet. Where the expression shows
  /// that this cannot happen, which is nearly always, nothing is collected.
  func droppingNames(
    of expression: Expression, refusesEqualLabels: Bool = false, _ emit: Emit, _ change: (inout [Double]) throws -> Void
  ) throws {
    if expression.isUniqueWithoutName {
      try stream(expression) { labels, row in
        try change(&row)
        try emit(labels.withoutMetricName, &row)
      }
      return
    }
    var merger = RowMerger(steps: grid.count, refusesEqualLabels: refusesEqualLabels)
    try stream(expression) { labels, row in
      if row.isAllAbsent { return }
      try change(&row)
      try run.hold(samples: row.count)
      try merger.add(labels.withoutMetricName, row)
    }
    try merger.emit(emit)
  }
}

extension Expression {
  /// Whether no two series of the vector can differ in their metric name alone.
  var isUniqueWithoutName: Bool {
    switch self {
    case .selector(let selector), .window(let selector, _, _):
      return selector.matchers.contains { $0.name == Label.metricName && $0.comparison == .equal }
    case .subquery(let subquery): return subquery.expression.isUniqueWithoutName
    case .parenthesized(let inner, _): return inner.isUniqueWithoutName
    case .unary(let isNegation, let inner, _): return isNegation || inner.isUniqueWithoutName
    case .number, .string: return true
    case .aggregate(let aggregate):
      switch aggregate.operation {
      case .topk, .bottomk: return aggregate.expression.isUniqueWithoutName
      default: return aggregate.isWithout || !aggregate.grouping.contains(Label.metricName)
      }
    case .binary(let binary):
      if binary.operation.dropsMetricName || binary.returnsBool { return true }
      if binary.operation == .and || binary.operation == .unless { return binary.left.isUniqueWithoutName }
      if binary.matching != nil { return false }
      return (binary.left.type == .scalar ? binary.right : binary.left).isUniqueWithoutName
    case .call(let call):
      switch call.function.name {
      case "label_replace", "label_join": return false
      case "sort", "sort_desc", "last_over_time": return call.arguments[0].isUniqueWithoutName
      default: return true
      }
    }
  }
}
