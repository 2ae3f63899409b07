internal import Glibc

extension BinaryOperator {
  /// Whether results are no longer the metric that went in.
  var dropsMetricName: Bool {
    switch self {
    case .add, .subtract, .multiply, .divide, .modulo, .power: true
    default: false
    }
  }

  /// The value of an operation on two numbers; comparisons give one or zero.
  @inline(__always)
  func value(_ left: Double, _ right: Double) -> Double {
    switch self {
    case .add: left + right
    case .subtract: left - right
    case .multiply: left * right
    case .divide: left / right
    case .modulo: fmod(left, right)
    case .power: GoMath.pow(left, right)
    case .atan2: GoMath.atan2(left, right)
    default: holds(left, right) ? 1 : 0
    }
  }

  /// Whether a comparison holds.
  @inline(__always)
  func holds(_ left: Double, _ right: Double) -> Bool {
    switch self {
    case .equal: left == right
    case .notEqual: left != right
    case .less: left < right
    case .lessOrEqual: left <= right
    case .greater: left > right
    case .greaterOrEqual: left >= right
    default: false
    }
  }
}
