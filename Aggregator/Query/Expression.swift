public import BongsuSeries

/// What an expression evaluates to.
public enum ValueType: String, Sendable, Hashable {
  case scalar
  case string
  case instantVector = "instant vector"
  case rangeVector = "range vector"

  /// The type's short name in some messages and in the HTTP API.
  public var shortName: String {
    switch self {
    case .scalar: "scalar"
    case .string: "string"
    case .instantVector: "vector"
    case .rangeVector: "matrix"
    }
  }
}

/// A parsed expression. Ranges are byte offsets into the source.
public indirect enum Expression: Sendable {
  case number(Double, Range<Int>)
  case string(String, Range<Int>)
  case selector(VectorSelector)
  /// A selector with a window, in milliseconds: `x[5m]`.
  case window(VectorSelector, rangeMilliseconds: Int64, Range<Int>)
  case subquery(Subquery)
  case parenthesized(Expression, Range<Int>)
  case unary(isNegation: Bool, Expression, Range<Int>)
  case binary(BinaryExpression)
  case aggregate(AggregateExpression)
  case call(CallExpression)

  /// Where the expression stands in the source.
  public var range: Range<Int> {
    switch self {
    case .number(_, let range), .string(_, let range), .window(_, _, let range), .parenthesized(_, let range),
      .unary(_, _, let range):
      range
    case .selector(let selector): selector.range
    case .subquery(let subquery): subquery.range
    case .binary(let binary): binary.range
    case .aggregate(let aggregate): aggregate.range
    case .call(let call): call.range
    }
  }

  /// The type of the value, by the rules of the language.
  public var type: ValueType {
    switch self {
    case .number: .scalar
    case .string: .string
    case .selector, .aggregate: .instantVector
    case .window, .subquery: .rangeVector
    case .parenthesized(let inner, _), .unary(_, let inner, _): inner.type
    case .binary(let binary):
      binary.left.type == .scalar && binary.right.type == .scalar ? .scalar : .instantVector
    case .call(let call): call.function.resultType
    }
  }

  /// The expression without parentheses around it.
  public var unwrapped: Expression {
    var expression = self
    while case .parenthesized(let inner, _) = expression { expression = inner }
    return expression
  }
}

/// The time a selector is asked for: `@` and `offset`.
public struct SelectorTime: Sendable, Hashable {
  /// A fixed instant instead of the evaluation time.
  public enum Anchor: Sendable, Hashable {
    /// Milliseconds since 1970.
    case instant(Int64)
    /// Start of the query.
    case start
    /// End of the query.
    case end
  }

  public var anchor: Anchor?
  /// How far back from there, in milliseconds; negative is forward.
  public var offsetMilliseconds: Int64 = 0

  public init() {}
}

/// Series by name and matchers.
public struct VectorSelector: Sendable {
  /// The name as written before the braces; empty when there was none.
  public var name: String
  /// All matchers, `__name__` of a written name last.
  public var matchers: [LabelMatcher]
  public var time = SelectorTime()
  public var range: Range<Int>
}

/// An expression evaluated over a window: `expr[1h:5m]`.
public struct Subquery: Sendable {
  public var expression: Expression
  public var rangeMilliseconds: Int64
  /// `nil` stands for the server's default.
  public var stepMilliseconds: Int64?
  public var time = SelectorTime()
  public var range: Range<Int>
}

/// Which series of the two sides belong together.
public struct VectorMatching: Sendable, Hashable {
  public enum Cardinality: Sendable, Hashable {
    case oneToOne, manyToOne, oneToMany, manyToMany
  }

  public var cardinality = Cardinality.oneToOne
  /// Names after `on` or `ignoring`.
  public var labels: [String] = []
  /// `on` instead of `ignoring`.
  public var isOn = false
  /// Names after `group_left` or `group_right`.
  public var included: [String] = []

  public init() {}
}

/// Two expressions and an operator.
public struct BinaryExpression: Sendable {
  public var operation: BinaryOperator
  public var left: Expression
  public var right: Expression
  /// `nil` unless both sides are instant vectors.
  public var matching: VectorMatching?
  /// `bool` after a comparison.
  public var returnsBool: Bool
  public var range: Range<Int>
}

/// An aggregation over the series of a vector.
public struct AggregateExpression: Sendable {
  public var operation: AggregateOperator
  public var parameter: Expression?
  public var expression: Expression
  public var grouping: [String]
  public var isWithout: Bool
  public var range: Range<Int>
}

/// A function call.
public struct CallExpression: Sendable {
  public var function: Function
  public var arguments: [Expression]
  public var range: Range<Int>
}
