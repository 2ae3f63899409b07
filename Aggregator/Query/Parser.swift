public import BongsuSeries

/// Parses expressions: precedence climbing over the tokens, then the type checker.
public struct Parser {
  private let source: String
  private let tokens: [Token]
  private var next = 0
  private var depth = 0

  init(_ source: String) {
    self.source = source
    tokens = Lexer.tokens(of: source)
  }

  /// Parses and type-checks an expression.
  public static func parse(_ source: String) throws(ParseFailure) -> Expression {
    let bytes = source.utf8.count
    guard bytes <= QueryLimits.expressionBytesMax else {
      let limit = QueryLimits.expressionBytesMax
      throw ParseFailure("expression is too long: \(bytes) bytes, at most \(limit) are accepted", at: 0, in: "")
    }
    var parser = Parser(source)
    if parser.token.kind == .endOfInput { throw ParseFailure("no expression found in input", at: 0, in: source) }
    let expression = try parser.parseExpression(above: 0).expression
    guard parser.token.kind == .endOfInput else { throw parser.unexpected() }
    try TypeChecker(source: source).check(expression)
    return expression
  }

  /// Parses a metric with labels: `name{label="value"}`.
  public static func parseMetric(_ source: String) throws(ParseFailure) -> LabelSet {
    var parser = Parser(source)
    // Nothing at all is a metric without name and labels.
    if parser.token.kind == .endOfInput { return .empty }
    let labels = try parser.parseLabelSet()
    guard parser.token.kind == .endOfInput else { throw parser.unexpected() }
    return labels
  }

  /// Parses matchers as the `match[]` parameter has them: one selector.
  public static func parseSelector(_ source: String) throws(ParseFailure) -> [LabelMatcher] {
    guard case .selector(let selector) = try parse(source), selector.time == SelectorTime() else {
      throw ParseFailure("expected a series selector", at: 0, in: source)
    }
    return selector.matchers
  }

  // MARK: expressions

  /// An expression and the depth of its tree.
  private struct Parsed {
    var expression: Expression
    var depth: Int
  }

  private mutating func parseExpression(above precedence: Int) throws(ParseFailure) -> Parsed {
    depth += 1
    defer { depth -= 1 }
    try checkDepth(depth)
    var left = try parseUnary()
    while case .binary(let operation) = token.kind, operation.precedence > precedence {
      let operatorPosition = token.position
      advance()
      let modifiers = try parseBinaryModifiers(operation)
      // `^` associates to the right, everything else to the left.
      let right = try parseExpression(above: operation == .power ? operation.precedence - 1 : operation.precedence)
      let binary = try makeBinary(operation, left.expression, right.expression, modifiers, at: operatorPosition)
      left = Parsed(expression: binary, depth: max(left.depth, right.depth) + 1)
      try checkDepth(depth + left.depth)
    }
    return left
  }

  private func checkDepth(_ depth: Int) throws(ParseFailure) {
    guard depth <= QueryLimits.expressionDepthMax else {
      throw failure(
        "expression nests too deeply: more than \(QueryLimits.expressionDepthMax) levels", at: token.position)
    }
  }

  private mutating func parseUnary() throws(ParseFailure) -> Parsed {
    guard token.kind == .binary(.add) || token.kind == .binary(.subtract) else { return try parsePostfix() }
    let isNegation = token.kind == .binary(.subtract)
    let start = token.position
    advance()
    let operand = try parseExpression(above: BinaryOperator.unaryPrecedence - 1)
    if case .number(let value, let range) = operand.expression {
      return Parsed(expression: .number(isNegation ? -value : value, start..<range.upperBound), depth: operand.depth)
    }
    let range = start..<operand.expression.range.upperBound
    return Parsed(
      expression: .unary(isNegation: isNegation, operand.expression, range), depth: operand.depth + 1)
  }

  private mutating func parsePostfix() throws(ParseFailure) -> Parsed {
    var parsed = try parsePrimary()
    while true {
      switch token.kind {
      case .leftBracket: parsed = try parseWindow(of: parsed)
      case .keyword(.offset):
        advance()
        let isNegative = token.kind == .binary(.subtract)
        if isNegative { advance() }
        let end = token.end
        let offset = try parseDuration(context: "offset", expected: "duration")
        parsed.expression = try setTime(of: parsed.expression, end: end, keyword: "offset") {
          time throws(ParseFailure) in
          guard time.offsetMilliseconds == 0 else {
            throw failure("offset may not be set multiple times", at: parsed.expression.range.lowerBound)
          }
          time.offsetMilliseconds = isNegative ? -offset : offset
        }
      case .at: parsed.expression = try parseAnchor(of: parsed.expression)
      default: return parsed
      }
    }
  }

  private mutating func parseAnchor(of expression: Expression) throws(ParseFailure) -> Expression {
    advance()
    let anchor: SelectorTime.Anchor
    var end = token.end
    switch token.kind {
    case .keyword(.start), .keyword(.end):
      anchor = token.kind == .keyword(.start) ? .start : .end
      advance()
      try expect(.leftParenthesis, context: "@", expected: "timestamp")
      end = token.end
      try expect(.rightParenthesis, context: "@", expected: "timestamp")
    default:
      let isNegative = token.kind == .binary(.subtract)
      if isNegative || token.kind == .binary(.add) { advance() }
      guard token.kind == .number else { throw unexpected(context: "@", expected: "timestamp") }
      end = token.end
      let seconds = try parseNumber(token) * (isNegative ? -1 : 1)
      guard seconds.isFinite, seconds * 1000 < 0x1p63, seconds * 1000 >= -0x1p63 else {
        let text = FloatText.plain(seconds)
        throw failure("timestamp out of bounds for @ modifier: \(text)", at: expression.range.lowerBound)
      }
      anchor = .instant(Int64((seconds * 1000).rounded(.toNearestOrAwayFromZero)))
      advance()
    }
    return try setTime(of: expression, end: end, keyword: "@") { time throws(ParseFailure) in
      guard time.anchor == nil else {
        throw failure("@ <timestamp> may not be set multiple times", at: expression.range.lowerBound)
      }
      time.anchor = anchor
    }
  }

  private func setTime(
    of expression: Expression, end: Int, keyword: String, _ change: (inout SelectorTime) throws(ParseFailure) -> Void
  ) throws(ParseFailure) -> Expression {
    switch expression {
    case .selector(var selector):
      try change(&selector.time)
      selector.range = selector.range.lowerBound..<end
      return .selector(selector)
    case .window(var selector, let window, let range):
      try change(&selector.time)
      return .window(selector, rangeMilliseconds: window, range.lowerBound..<end)
    case .subquery(var subquery):
      try change(&subquery.time)
      subquery.range = subquery.range.lowerBound..<end
      return .subquery(subquery)
    default:
      throw failure(
        "\(keyword) modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        at: expression.range.lowerBound)
    }
  }

  private mutating func parseWindow(of parsed: Parsed) throws(ParseFailure) -> Parsed {
    let start = parsed.expression.range.lowerBound
    advance()
    let rangePosition = token.position
    let range = try parseDuration(context: "subquery selector", expected: "duration")
    if token.kind == .colon {
      advance()
      var step: Int64?
      if token.kind != .rightBracket {
        guard token.kind == .duration else {
          throw unexpected(context: "subquery selector", expected: "duration or \"]\"")
        }
        step = try parseDuration(context: "subquery selector", expected: "duration")
      }
      let end = token.end
      try expect(.rightBracket, context: "subquery selector", expected: "\"]\"")
      let subquery = Subquery(
        expression: parsed.expression, rangeMilliseconds: range, stepMilliseconds: step, range: start..<end)
      try checkDepth(depth + parsed.depth + 1)
      return Parsed(expression: .subquery(subquery), depth: parsed.depth + 1)
    }
    let end = token.end
    guard token.kind == .rightBracket else {
      throw unexpected(context: "matrix selector", expected: "\"]\"")
    }
    advance()
    guard case .selector(let selector) = parsed.expression else {
      throw failure("ranges only allowed for vector selectors", at: rangePosition - 1)
    }
    if selector.time.offsetMilliseconds != 0 {
      throw failure("no offset modifiers allowed before range", at: rangePosition - 1)
    }
    if selector.time.anchor != nil { throw failure("no @ modifiers allowed before range", at: rangePosition - 1) }
    return Parsed(expression: .window(selector, rangeMilliseconds: range, start..<end), depth: parsed.depth)
  }

  // MARK: primaries

  private mutating func parsePrimary() throws(ParseFailure) -> Parsed {
    let first = token
    switch first.kind {
    case .number:
      advance()
      return Parsed(expression: .number(try parseNumber(first), first.position..<first.end), depth: 1)
    case .string:
      advance()
      return Parsed(expression: .string(StringLiteral.value(of: first.text), first.position..<first.end), depth: 1)
    case .leftParenthesis:
      advance()
      let inner = try parseExpression(above: 0)
      let end = token.end
      try expect(.rightParenthesis, context: "paren expression", expected: nil)
      return Parsed(expression: .parenthesized(inner.expression, first.position..<end), depth: inner.depth + 1)
    case .leftBrace: return Parsed(expression: .selector(try parseSelector(name: nil)), depth: 1)
    case .aggregate(let operation) where opensAggregation: return try parseAggregate(operation)
    case .identifier where peek(1).kind == .leftParenthesis: return try parseCall()
    default:
      guard isMetricName(first) else { throw unexpected() }
      advance()
      return Parsed(expression: .selector(try parseSelector(name: first)), depth: 1)
    }
  }

  private var opensAggregation: Bool {
    switch peek(1).kind {
    case .leftParenthesis, .keyword(.by), .keyword(.without): true
    default: false
    }
  }

  private mutating func parseCall() throws(ParseFailure) -> Parsed {
    let name = token
    advance()
    guard let function = Function.named(name.text) else {
      throw failure("unknown function with name \(QuotedText.quote(name.text))", at: name.position)
    }
    let (arguments, depth, end) = try parseArguments()
    let call = CallExpression(function: function, arguments: arguments, range: name.position..<end)
    return Parsed(expression: .call(call), depth: depth + 1)
  }

  private mutating func parseArguments() throws(ParseFailure) -> ([Expression], Int, Int) {
    advance()
    var arguments: [Expression] = []
    var depth = 0
    while token.kind != .rightParenthesis {
      let argument = try parseExpression(above: 0)
      arguments.append(argument.expression)
      depth = max(depth, argument.depth)
      if token.kind == .comma {
        advance()
        if token.kind == .rightParenthesis {
          throw failure("trailing commas not allowed in function call args", at: token.position - 1)
        }
      } else if token.kind != .rightParenthesis {
        throw unexpected(context: "function call", expected: "\",\" or \")\"")
      }
    }
    let end = token.end
    advance()
    return (arguments, depth, end)
  }

  private mutating func parseAggregate(_ operation: AggregateOperator) throws(ParseFailure) -> Parsed {
    let start = token.position
    advance()
    var grouping: [String] = []
    var isWithout = false
    var hasModifier = false
    if token.kind != .leftParenthesis {
      (grouping, isWithout) = try parseGrouping()
      hasModifier = true
    }
    guard token.kind == .leftParenthesis else { throw unexpected(context: "aggregation", expected: nil) }
    var (arguments, depth, end) = try parseArguments()
    if !hasModifier, token.kind == .keyword(.by) || token.kind == .keyword(.without) {
      (grouping, isWithout) = try parseGrouping()
      end = tokens[next - 1].end
    }
    if arguments.isEmpty { throw failure("no arguments for aggregate expression provided", at: start) }
    let expected = operation.takesParameter ? 2 : 1
    guard arguments.count == expected, let expression = arguments.last else {
      throw failure(
        "wrong number of arguments for aggregate expression provided, expected \(expected), got \(arguments.count)",
        at: start)
    }
    let aggregate = AggregateExpression(
      operation: operation, parameter: operation.takesParameter ? arguments[0] : nil, expression: expression,
      grouping: grouping, isWithout: isWithout, range: start..<end)
    return Parsed(expression: .aggregate(aggregate), depth: depth + 1)
  }

  private mutating func parseGrouping() throws(ParseFailure) -> ([String], Bool) {
    let isWithout = token.kind == .keyword(.without)
    advance()
    return (try parseLabelNames(), isWithout)
  }

  // MARK: modifiers

  private struct BinaryModifiers {
    var returnsBool = false
    var matching = VectorMatching()
  }

  private mutating func parseBinaryModifiers(_ operation: BinaryOperator) throws(ParseFailure) -> BinaryModifiers {
    var modifiers = BinaryModifiers()
    if operation.isSetOperator { modifiers.matching.cardinality = .manyToMany }
    if token.kind == .keyword(.bool) {
      advance()
      modifiers.returnsBool = true
    }
    guard token.kind == .keyword(.on) || token.kind == .keyword(.ignoring) else { return modifiers }
    modifiers.matching.isOn = token.kind == .keyword(.on)
    advance()
    modifiers.matching.labels = try parseLabelNames()
    if token.kind == .keyword(.groupLeft) || token.kind == .keyword(.groupRight) {
      modifiers.matching.cardinality = token.kind == .keyword(.groupLeft) ? .manyToOne : .oneToMany
      advance()
      if token.kind == .leftParenthesis { modifiers.matching.included = try parseLabelNames() }
    }
    return modifiers
  }

  private mutating func parseLabelNames() throws(ParseFailure) -> [String] {
    try expect(.leftParenthesis, context: "grouping opts", expected: "\"(\"")
    var names: [String] = []
    while token.kind != .rightParenthesis {
      guard isLabelName(token) else { throw unexpected(context: "grouping opts", expected: "label") }
      names.append(token.text)
      advance()
      if token.kind == .comma {
        advance()
      } else if token.kind != .rightParenthesis {
        throw unexpected(context: "grouping opts", expected: "\",\" or \")\"")
      }
    }
    advance()
    return names
  }

  private func isLabelName(_ token: Token) -> Bool {
    switch token.kind {
    case .identifier, .aggregate, .keyword: true
    case .binary(let operation): operation.isSetOperator || operation == .atan2
    default: false
    }
  }

  private func makeBinary(
    _ operation: BinaryOperator, _ left: Expression, _ right: Expression, _ modifiers: BinaryModifiers, at position: Int
  ) throws(ParseFailure) -> Expression {
    let range = left.range.lowerBound..<right.range.upperBound
    let isComparison = operation.isComparison
    if modifiers.returnsBool, !isComparison {
      throw failure("bool modifier can only be used on comparison operators", at: position)
    }
    if isComparison, !modifiers.returnsBool, left.type == .scalar, right.type == .scalar {
      throw failure("comparisons between scalars must use BOOL modifier", at: position)
    }
    let matching = modifiers.matching
    if operation.isSetOperator, matching.cardinality == .oneToMany || matching.cardinality == .manyToOne {
      throw failure("no grouping allowed for \(QuotedText.quote(operation.rawValue)) operation", at: position)
    }
    let included = Set(matching.included)
    if matching.isOn, let label = matching.labels.first(where: included.contains) {
      throw failure("label \(QuotedText.quote(label)) must not occur in ON and GROUP clause at once", at: position)
    }
    let areVectors = left.type == .instantVector && right.type == .instantVector
    if !areVectors, !matching.labels.isEmpty {
      throw failure("vector matching only allowed between instant vectors", at: position)
    }
    let binary = BinaryExpression(
      operation: operation, left: left, right: right, matching: areVectors ? matching : nil,
      returnsBool: modifiers.returnsBool, range: range)
    return .binary(binary)
  }

  // MARK: tokens

  var token: Token { tokens[min(next, tokens.count - 1)] }

  func peek(_ distance: Int) -> Token { tokens[min(next + distance, tokens.count - 1)] }

  mutating func advance() { next += 1 }

  mutating func expect(_ kind: Token.Kind, context: String, expected: String?) throws(ParseFailure) {
    guard token.kind == kind else { throw unexpected(context: context, expected: expected) }
    advance()
  }

  private mutating func parseDuration(context: String, expected: String) throws(ParseFailure) -> Int64 {
    guard token.kind == .duration else { throw unexpected(context: context, expected: expected) }
    let written = token
    advance()
    do throws(DurationText.Failure) {
      let duration = try DurationText.parse(written.text)
      if duration == 0 { throw DurationText.Failure(description: "duration must be greater than 0") }
      return duration
    } catch {
      throw failure(error.description, at: written.position)
    }
  }

  private func parseNumber(_ token: Token) throws(ParseFailure) -> Double {
    if let value = Self.number(token.text) { return value }
    throw failure(
      "error parsing number: \(QuotedText.quote(token.text)): invalid syntax or out of range", at: token.position)
  }

  /// Reads a number as Go reads literals: whole numbers with a leading zero are octal, `0x` is hexadecimal.
  static func number(_ text: String) -> Double? {
    let lowered = text.lowercased()
    if lowered.hasPrefix("0x") {
      return Int64(lowered.dropFirst(2), radix: 16).map(Double.init)
    }
    if lowered.hasPrefix("0"), lowered.utf8.count > 1, let octal = Int64(lowered, radix: 8) { return Double(octal) }
    if let whole = Int64(lowered) { return Double(whole) }
    return FloatText.parse(lowered)
  }

  func failure(_ message: String, at offset: Int) -> ParseFailure {
    ParseFailure(message, at: offset, in: source)
  }

  func unexpected(context: String? = nil, expected: String? = nil) -> ParseFailure {
    if token.kind == .failure { return failure(token.text, at: token.position) }
    var message = "unexpected \(token.described)"
    if let context { message += " in \(context)" }
    if let expected { message += ", expected \(expected)" }
    return failure(message, at: token.position)
  }
}
