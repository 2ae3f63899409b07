/// One condition on a label: `name="value"`, `!=`, `=~` or `!~`.
///
/// A label that a series does not have counts as empty. Regular expressions are anchored at both ends.
public struct LabelMatcher: Sendable {
  /// How a matcher compares.
  public enum Operator: String, Sendable, Hashable {
    case equal = "="
    case notEqual = "!="
    case matches = "=~"
    case doesNotMatch = "!~"
  }

  public let name: String
  public let comparison: Operator
  public let value: String
  private let pattern: Pattern?

  /// Builds a matcher. Throws `PatternError` when `value` is not a regular expression and the operator wants one.
  public init(_ name: String, _ comparison: Operator, _ value: String) throws(PatternError) {
    self.name = name
    self.comparison = comparison
    self.value = value
    switch comparison {
    case .equal, .notEqual: pattern = nil
    case .matches, .doesNotMatch: pattern = try Pattern(value)
    }
  }

  /// The matcher `name="value"`.
  public init(_ name: String, equals value: String) {
    self.name = name
    comparison = .equal
    self.value = value
    pattern = nil
  }

  /// The matcher that any of some values satisfies, as a regular expression of literals.
  public init(_ name: String, anyOf values: [String]) throws(PatternError) {
    let special = #"\.+*?()|[]{}^$"#
    let quoted = values.map { value in
      value.reduce(into: "") { text, next in text += special.contains(next) ? "\\\(next)" : String(next) }
    }
    try self.init(name, .matches, quoted.joined(separator: "|"))
  }

  /// Whether a label value satisfies the condition; pass the empty string for an absent label.
  public func matches(_ candidate: String) -> Bool {
    switch comparison {
    case .equal: return ByteOrder.areEqual(candidate, value)
    case .notEqual: return !ByteOrder.areEqual(candidate, value)
    case .matches: return pattern?.matches(candidate) ?? false
    case .doesNotMatch: return !(pattern?.matches(candidate) ?? false)
    }
  }

  /// Whether a series satisfies the condition.
  public func matches(_ labels: LabelSet) -> Bool { matches(labels[name]) }

  /// Whether another matcher is written the same.
  public func isSame(as other: LabelMatcher) -> Bool {
    comparison == other.comparison && ByteOrder.areEqual(name, other.name) && ByteOrder.areEqual(value, other.value)
  }

  /// The only values that can satisfy the condition, when they are few and known: for indexes.
  public var exactValues: [String]? {
    switch comparison {
    case .equal: return [value]
    case .matches: return pattern?.literalAlternatives
    case .notEqual, .doesNotMatch: return nil
    }
  }
}

extension LabelMatcher: Hashable, CustomStringConvertible {
  public static func == (left: LabelMatcher, right: LabelMatcher) -> Bool {
    left.comparison == right.comparison && ByteOrder.areEqual(left.name, right.name)
      && ByteOrder.areEqual(left.value, right.value)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(name)
    hasher.combine(comparison)
    hasher.combine(value)
  }

  public var description: String { "\(name)\(comparison.rawValue)\(QuotedText.quote(value))" }
}
