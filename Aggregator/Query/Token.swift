internal import BongsuSeries

/// One lexical unit of an expression.
struct Token: Sendable {
  enum Kind: Sendable, Hashable {
    case endOfInput
    /// What the lexer could not read; the text is the message.
    case failure
    case identifier
    case metricIdentifier
    case string
    case number
    case duration
    case comma, colon, at
    case leftParenthesis, rightParenthesis, leftBrace, rightBrace, leftBracket, rightBracket
    /// `=`; assignment in matchers.
    case equals
    case matches, doesNotMatch
    case binary(BinaryOperator)
    case aggregate(AggregateOperator)
    case keyword(Keyword)
    // Only in the values of a series description.
    case blank, times, space
  }

  enum Keyword: String, Sendable, CaseIterable {
    case offset, by, without, on, ignoring
    case groupLeft = "group_left"
    case groupRight = "group_right"
    case bool, start, end
  }

  var kind: Kind
  /// The characters as written; for a failure, the message.
  var text: String
  /// Byte offset of the first character.
  var position: Int

  /// Byte offset past the last character.
  var end: Int { kind == .failure ? position : position + text.utf8.count }

  /// How messages name the token.
  var described: String {
    switch kind {
    case .endOfInput: "end of input"
    case .failure: text
    case .identifier: "identifier \(QuotedText.quote(text))"
    case .metricIdentifier: "metric identifier \(QuotedText.quote(text))"
    case .string: "string \(shortened)"
    case .number: "number \(shortened)"
    case .duration: "duration \(shortened)"
    case .binary: "<op:\(text)>"
    case .aggregate: "<aggr:\(text)>"
    case .keyword: "<\(text)>"
    default: QuotedText.quote(text)
    }
  }

  private var shortened: String {
    text.unicodeScalars.count > 10
      ? QuotedText.quote(String(String.UnicodeScalarView(text.unicodeScalars.prefix(10)))) + "..."
      : QuotedText.quote(text)
  }
}

/// Operators between two expressions.
public enum BinaryOperator: String, Sendable, Hashable, CaseIterable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case modulo = "%"
  case power = "^"
  case atan2
  case equal = "=="
  case notEqual = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case and
  case or
  case unless

  /// Whether the result is a filter, or with `bool` a truth value.
  public var isComparison: Bool {
    switch self {
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: true
    default: false
    }
  }

  /// Whether the operator combines sets of series and not values.
  public var isSetOperator: Bool { self == .and || self == .or || self == .unless }

  /// Binding strength; larger binds tighter.
  var precedence: Int {
    switch self {
    case .or: 1
    case .and, .unless: 2
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: 3
    case .add, .subtract: 4
    case .multiply, .divide, .modulo, .atan2: 5
    case .power: 6
    }
  }

  /// Binding strength of a sign before an expression: weaker than `^` only.
  static let unaryPrecedence = 6
}

/// Operators over the series of a vector.
public enum AggregateOperator: String, Sendable, Hashable, CaseIterable {
  case sum, avg, count, min, max, group, stddev, stdvar, topk, bottomk
  case countValues = "count_values"
  case quantile

  /// Whether a parameter precedes the vector.
  public var takesParameter: Bool {
    switch self {
    case .topk, .bottomk, .countValues, .quantile: true
    default: false
    }
  }
}
