internal import BongsuSeries

extension Expression: CustomStringConvertible {
  /// The expression on one line, in Prometheus's canonical form. Parsing it gives the same expression.
  public var description: String {
    switch self {
    case .number(let value, _): return FloatText.general(value)
    case .string(let text, _): return QuotedText.quote(text)
    case .selector(let selector): return selector.seriesText + selector.time.text
    case .window(let selector, let range, _):
      return "\(selector.seriesText)[\(DurationText.format(milliseconds: range))]\(selector.time.text)"
    case .subquery(let subquery): return "\(subquery.expression)\(subquery.suffix)"
    case .parenthesized(let inner, _): return "(\(inner))"
    case .unary(let isNegation, let inner, _): return "\(isNegation ? "-" : "+")\(inner)"
    case .binary(let binary): return "\(binary.left) \(binary.operatorText) \(binary.right)"
    case .aggregate(let aggregate):
      let parameter = aggregate.parameter.map { "\($0), " } ?? ""
      return "\(aggregate.operatorText)(\(parameter)\(aggregate.expression))"
    case .call(let call):
      return "\(call.function.name)(\(call.arguments.map(\.description).joined(separator: ", ")))"
    }
  }

  /// The expression over several lines where one would be longer than a hundred characters: the answer of
  /// `format_query`.
  public var formatted: String { formatted(level: 0) }

  private static let lineBytesMax = 100

  private func formatted(level: Int) -> String {
    let indent = String(repeating: "  ", count: level)
    let line = description
    switch self {
    case .number, .string, .selector, .window: return indent + line
    case .unary(let isNegation, let inner, _):
      let child = inner.formatted(level: level)
      return indent + (isNegation ? "-" : "+") + child.drop { $0 == " " }
    default: break
    }
    guard line.utf8.count > Self.lineBytesMax else {
      // Prometheus 2.42 does not indent these; people compare its answers with ours.
      if case .subquery = self { return line }
      return indent + line
    }
    switch self {
    case .subquery(let subquery): return subquery.expression.formatted(level: level) + subquery.suffix
    case .parenthesized(let inner, _): return "\(indent)(\n\(inner.formatted(level: level + 1))\n\(indent))"
    case .binary(let binary):
      let (left, right) = (binary.left.formatted(level: level + 1), binary.right.formatted(level: level + 1))
      return "\(left)\n\(indent)\(binary.operatorText)\n\(right)"
    case .aggregate(let aggregate):
      let parameter = aggregate.parameter.map { "\($0.formatted(level: level + 1)),\n" } ?? ""
      let inner = aggregate.expression.formatted(level: level + 1)
      return "\(indent)\(aggregate.operatorText)(\n\(parameter)\(inner)\n\(indent))"
    case .call(let call):
      let arguments = call.arguments.map { $0.formatted(level: level + 1) }.joined(separator: ",\n")
      return "\(indent)\(call.function.name)(\n\(arguments)\n\(indent))"
    default: return indent + line
    }
  }
}

extension VectorSelector {
  /// Name and matchers, without `@` and `offset`.
  fileprivate var seriesText: String {
    let shown = matchers.filter { !($0.name == Label.metricName && $0.comparison == .equal && $0.value == name) }
    if shown.isEmpty { return name.isEmpty ? "{}" : name }
    return "\(name){\(shown.map(\.description).sorted(by: ByteOrder.precedes).joined(separator: ","))}"
  }
}

extension SelectorTime {
  fileprivate var text: String {
    var text = ""
    switch anchor {
    case nil: break
    case .start: text = " @ start()"
    case .end: text = " @ end()"
    case .instant(let milliseconds):
      let fraction = String(milliseconds.magnitude % 1000)
      let padding = String(repeating: "0", count: 3 - fraction.utf8.count)
      text = " @ \(milliseconds < 0 ? "-" : "")\(milliseconds.magnitude / 1000).\(padding)\(fraction)"
    }
    if offsetMilliseconds != 0 { text += " offset \(DurationText.format(milliseconds: offsetMilliseconds))" }
    return text
  }
}

extension Subquery {
  fileprivate var suffix: String {
    let step = stepMilliseconds.map(DurationText.format) ?? ""
    return "[\(DurationText.format(milliseconds: rangeMilliseconds)):\(step)]\(time.text)"
  }
}

extension BinaryExpression {
  fileprivate var operatorText: String {
    var text = operation.rawValue + (returnsBool ? " bool" : "")
    guard let matching, matching.isOn || !matching.labels.isEmpty else { return text }
    text += " \(matching.isOn ? "on" : "ignoring") (\(matching.labels.joined(separator: ", ")))"
    switch matching.cardinality {
    case .manyToOne: text += " group_left (\(matching.included.joined(separator: ", ")))"
    case .oneToMany: text += " group_right (\(matching.included.joined(separator: ", ")))"
    case .oneToOne, .manyToMany: break
    }
    return text
  }
}

extension AggregateExpression {
  fileprivate var operatorText: String {
    if isWithout { return "\(operation.rawValue) without (\(grouping.joined(separator: ", "))) " }
    return grouping.isEmpty ? operation.rawValue : "\(operation.rawValue) by (\(grouping.joined(separator: ", "))) "
  }
}
