internal import BongsuQuery
internal import BongsuSeries

extension Expression {
  /// Adds the metric names that the expression reads, each with how far back, milliseconds.
  ///
  /// `allNamed` becomes `false` when a selector names no metric.
  func collectNames(reachingBack reach: Int64, into names: inout [String: Int64], allNamed: inout Bool) {
    func add(_ selector: VectorSelector, _ range: Int64) {
      let matchers = selector.matchers.filter { $0.name == Label.metricName }
      let exact = matchers.lazy.compactMap(\.exactValues).first
      if exact == nil { allNamed = false }
      for name in exact ?? [] {
        let total = reach + range + max(0, selector.time.offsetMilliseconds)
        names[name] = max(names[name] ?? 0, total)
      }
    }
    switch self {
    case .number, .string: break
    case .selector(let selector): add(selector, 0)
    case .window(let selector, let range, _): add(selector, range)
    case .subquery(let subquery):
      let back = reach + subquery.rangeMilliseconds + max(0, subquery.time.offsetMilliseconds)
      subquery.expression.collectNames(reachingBack: back, into: &names, allNamed: &allNamed)
    case .parenthesized(let inner, _), .unary(_, let inner, _):
      inner.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed)
    case .binary(let binary):
      binary.left.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed)
      binary.right.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed)
    case .aggregate(let aggregate):
      aggregate.parameter?.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed)
      aggregate.expression.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed)
    case .call(let call):
      for argument in call.arguments { argument.collectNames(reachingBack: reach, into: &names, allNamed: &allNamed) }
    }
  }
}
