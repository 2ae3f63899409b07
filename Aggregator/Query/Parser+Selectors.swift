internal import BongsuSeries

extension Parser {
  /// Names of operators and most keywords are metric names when nothing else makes sense.
  func isMetricName(_ token: Token) -> Bool {
    switch token.kind {
    case .identifier, .metricIdentifier, .aggregate: return true
    case .binary(let operation): return operation == .and || operation == .or || operation == .unless
    case .keyword(let keyword):
      switch keyword {
      case .offset, .by, .without, .start, .end: return true
      default: return false
      }
    default: return false
    }
  }

  mutating func parseSelector(name: Token?) throws(ParseFailure) -> VectorSelector {
    let start = name?.position ?? token.position
    var end = name?.end ?? token.end
    var matchers: [LabelMatcher] = []
    if token.kind == .leftBrace {
      advance()
      while token.kind != .rightBrace {
        matchers.append(try parseMatcher(isFirst: matchers.isEmpty))
        if token.kind == .comma {
          advance()
        } else if token.kind != .rightBrace {
          throw unexpected(context: "label matching", expected: "\",\" or \"}\"")
        }
      }
      end = token.end
      advance()
    }
    if let name { matchers.append(LabelMatcher(Label.metricName, equals: name.text)) }
    return VectorSelector(name: name?.text ?? "", matchers: matchers, range: start..<end)
  }

  private mutating func parseMatcher(isFirst: Bool) throws(ParseFailure) -> LabelMatcher {
    let name = token
    guard name.kind == .identifier else {
      throw unexpected(context: "label matching", expected: isFirst ? "identifier or \"}\"" : "identifier or \"}\"")
    }
    advance()
    let comparison: LabelMatcher.Operator
    switch token.kind {
    case .equals: comparison = .equal
    case .binary(.notEqual): comparison = .notEqual
    case .matches: comparison = .matches
    case .doesNotMatch: comparison = .doesNotMatch
    default: throw unexpected(context: "label matching", expected: "label matching operator")
    }
    advance()
    guard token.kind == .string else { throw unexpected(context: "label matching", expected: "string") }
    let value = StringLiteral.value(of: token.text)
    advance()
    do throws(PatternError) {
      return try LabelMatcher(name.text, comparison, value)
    } catch {
      throw failure(error.description, at: name.position)
    }
  }

  mutating func parseLabelSet() throws(ParseFailure) -> LabelSet {
    var name = ""
    if isMetricName(token) {
      name = token.text
      advance()
    } else if token.kind != .leftBrace {
      throw unexpected()
    }
    var labels: [Label] = []
    if token.kind == .leftBrace {
      advance()
      while token.kind != .rightBrace {
        let label = token
        guard label.kind == .identifier else { throw unexpected(context: "label set", expected: "identifier or \"}\"") }
        advance()
        try expect(.equals, context: "label set", expected: "\"=\"")
        guard token.kind == .string else { throw unexpected(context: "label set", expected: "string") }
        labels.append(Label(name: label.text, value: StringLiteral.value(of: token.text)))
        advance()
        if token.kind == .comma {
          advance()
        } else if token.kind != .rightBrace {
          throw unexpected(context: "label set", expected: "\",\" or \"}\"")
        }
      }
      advance()
    }
    if !name.isEmpty { labels.append(Label(name: Label.metricName, value: name)) }
    return LabelSet(labels)
  }
}
