internal import BongsuAlerts
internal import BongsuQuery
internal import BongsuSeries

extension AccessScope {
  /// Whether the text of a rule may be read: where it names a place or an allocation, that one is in the scope.
  func mayRead(_ rule: Rule) -> Bool {
    guard !isUnlimited else { return true }
    let labels = rule.labels.filter { Self.labels.contains($0.name) }
    return labels.allSatisfy { limits($0.name) && covers($0.name, $0.value) } && mayRead(rule.expression)
  }

  private func mayRead(_ expression: Expression) -> Bool {
    switch expression {
    case .number: true
    // An argument, such as a replacement of label_replace, may name anybody.
    case .string(let text, _): isPlain(text)
    case .selector(let selector), .window(let selector, _, _): selector.matchers.allSatisfy(mayRead)
    case .subquery(let subquery): mayRead(subquery.expression)
    case .parenthesized(let inner, _), .unary(_, let inner, _): mayRead(inner)
    case .binary(let binary): mayRead(binary.left) && mayRead(binary.right)
    case .aggregate(let aggregate): (aggregate.parameter.map(mayRead) ?? true) && mayRead(aggregate.expression)
    case .call(let call): call.arguments.allSatisfy(mayRead)
    }
  }

  private func mayRead(_ matcher: LabelMatcher) -> Bool {
    // A scope cannot name meters, and their names tell of factories.
    guard Self.labels.contains(matcher.name) || matcher.name == "meter" else { return true }
    return matcher.comparison == .equal && limits(matcher.name) && covers(matcher.name, matcher.value)
  }

  /// Names of labels and references to groups, which tell nothing.
  private func isPlain(_ text: String) -> Bool {
    Self.labels.contains(text) || ["", "$1", "$2", "(.*)", "(.+)"].contains(text)
  }
}
