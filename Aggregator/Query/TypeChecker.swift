internal import BongsuSeries

/// Checks what the grammar cannot: types of operands and arguments, and selectors that would select everything.
struct TypeChecker {
  let source: String

  func check(_ expression: Expression) throws(ParseFailure) {
    switch expression {
    case .number, .string: return
    case .selector(let selector), .window(let selector, _, _): try check(selector)
    case .parenthesized(let inner, _): try check(inner)
    case .subquery(let subquery):
      try check(subquery.expression)
      guard subquery.expression.type == .instantVector else {
        throw failure(
          "subquery is only allowed on instant vector, got \(subquery.expression.type.shortName) instead", expression)
      }
    case .unary(_, let inner, _):
      try check(inner)
      guard inner.type == .scalar || inner.type == .instantVector else {
        throw failure(
          "unary expression only allowed on expressions of type scalar or instant vector, got "
            + QuotedText.quote(inner.type.rawValue), expression)
      }
    case .binary(let binary): try check(binary)
    case .aggregate(let aggregate): try check(aggregate)
    case .call(let call): try check(call)
    }
  }

  private func check(_ selector: VectorSelector) throws(ParseFailure) {
    let names = selector.matchers.filter { $0.name == Label.metricName }
    if !selector.name.isEmpty, names.count > 1, let written = names.first {
      // The written name is the last matcher; any other in the braces contradicts or repeats it.
      throw ParseFailure(
        "metric name must not be set twice: \(QuotedText.quote(selector.name)) or \(QuotedText.quote(written.value))",
        at: selector.range.lowerBound, in: source)
    }
    guard selector.matchers.contains(where: { !$0.matches("") }) else {
      throw ParseFailure(
        "vector selector must contain at least one non-empty matcher", at: selector.range.lowerBound, in: source)
    }
  }

  private func check(_ binary: BinaryExpression) throws(ParseFailure) {
    try check(binary.left)
    try check(binary.right)
    for side in [binary.left, binary.right] where side.type != .scalar && side.type != .instantVector {
      throw failure("binary expression must contain only scalar and instant vector types", side)
    }
    if binary.operation.isSetOperator, binary.left.type == .scalar || binary.right.type == .scalar {
      throw failure(
        "set operator \(QuotedText.quote(binary.operation.rawValue)) not allowed in binary scalar expression",
        .binary(binary))
    }
  }

  private func check(_ aggregate: AggregateExpression) throws(ParseFailure) {
    try check(aggregate.expression)
    try expect(.instantVector, aggregate.expression, in: "aggregation expression")
    guard let parameter = aggregate.parameter else { return }
    try check(parameter)
    let wanted: ValueType = aggregate.operation == .countValues ? .string : .scalar
    try expect(wanted, parameter, in: "aggregation parameter")
  }

  private func check(_ call: CallExpression) throws(ParseFailure) {
    let function = call.function
    let name = QuotedText.quote(function.name)
    let (count, most) = (call.arguments.count, function.argumentTypes.count)
    if function.optionalArguments == 0, count != most {
      throw failure("expected \(most) argument(s) in call to \(name), got \(count)", .call(call))
    }
    if count < function.argumentsMin {
      throw failure(
        "expected at least \(function.argumentsMin) argument(s) in call to \(name), got \(count)", .call(call))
    }
    if function.optionalArguments > 0, count > most {
      throw failure("expected at most \(most) argument(s) in call to \(name), got \(count)", .call(call))
    }
    for (index, argument) in call.arguments.enumerated() {
      try check(argument)
      guard let wanted = index < most ? function.argumentTypes[index] : function.argumentTypes.last else { continue }
      try expect(wanted, argument, in: "call to function \(name)")
    }
  }

  private func expect(_ type: ValueType, _ expression: Expression, in context: String) throws(ParseFailure) {
    guard expression.type != type else { return }
    throw failure("expected type \(type.rawValue) in \(context), got \(expression.type.rawValue)", expression)
  }

  private func failure(_ message: String, _ expression: Expression) -> ParseFailure {
    ParseFailure(message, at: expression.range.lowerBound, in: source)
  }
}
