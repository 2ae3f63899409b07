internal import BongsuQuery
internal import BongsuSeries
internal import Foundation

/// What the values of an expression are counted in, as far as names and functions tell.
enum Quantity: String, CaseIterable {
  case watts
  case joules
  case bytes
  case ratio
  case celsius
  case hertz
  case seconds
  case plain

  /// The unit a metric's name ends with; the level and operation of a rollup's name do not count.
  init(ofMetric name: String) {
    let parts = name.split(separator: ":")
    if parts.last == "count" || parts.last == "ratio" {
      self = parts.last == "ratio" ? .ratio : .plain
      return
    }
    var words = (parts.count > 1 ? parts[1] : parts.first ?? "").split(separator: "_")
    if words.last == "total" { words.removeLast() }
    self = words.last.flatMap { Quantity(rawValue: String($0)) } ?? .plain
  }

  /// What an expression gives; `.plain` wherever that is not certain.
  init(of expression: BongsuQuery.Expression) {
    switch expression {
    case .selector(let selector), .window(let selector, _, _):
      let name = selector.matchers.first { $0.name == Label.metricName && $0.comparison == .equal }?.value
      self = name.map { Quantity(ofMetric: $0) } ?? .plain
    case .subquery(let subquery): self.init(of: subquery.expression)
    case .parenthesized(let inner, _), .unary(_, let inner, _): self.init(of: inner)
    case .aggregate(let aggregate):
      switch aggregate.operation {
      case .count, .group, .countValues, .stdvar: self = .plain
      default: self.init(of: aggregate.expression)
      }
    case .binary(let binary): self.init(of: binary)
    case .call(let call): self.init(of: call)
    case .number, .string: self = .plain
    }
  }

  private init(of binary: BinaryExpression) {
    let (left, right) = (Quantity(of: binary.left), Quantity(of: binary.right))
    switch binary.operation {
    case .add, .subtract, .modulo: self = left == right || binary.right.type == .scalar ? left : .plain
    case .and, .unless: self = left
    case .or: self = left == right ? left : .plain
    // Quotients of equal units are numbers; whether they are meant as shares nobody knows.
    case .multiply: self = right == .ratio ? left : left == .ratio ? right : .plain
    case .divide: self = right == .ratio ? left : .plain
    default: self = binary.operation.isComparison && !binary.returnsBool ? left : .plain
    }
  }

  private init(of call: CallExpression) {
    let operand = call.arguments.first { $0.type == .instantVector || $0.type == .rangeVector }
    let inner = operand.map { Quantity(of: $0) } ?? .plain
    switch call.function.name {
    case "rate", "irate", "deriv": self = inner == .joules ? .watts : inner == .seconds ? .ratio : .plain
    case "abs", "ceil", "floor", "round", "clamp", "clamp_max", "clamp_min", "sort", "sort_desc", "scalar", "delta",
      "idelta", "increase", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time",
      "stddev_over_time", "sum_over_time", "predict_linear", "holt_winters", "label_replace", "label_join":
      self = inner
    default: self = .plain
    }
  }

  /// The symbol behind numbers; empty for plain ones.
  var symbol: String {
    switch self {
    case .watts: "W"
    case .joules: "J"
    case .bytes: "B"
    case .ratio: "%"
    case .celsius: "°C"
    case .hertz: "Hz"
    case .seconds: "s"
    case .plain: ""
    }
  }

  /// What values about as large as `magnitude` are divided by, and what stands before the unit then.
  func scale(for magnitude: Double) -> (factor: Double, prefix: String) {
    guard magnitude.isFinite, magnitude > 0 else { return (self == .ratio ? 0.01 : 1, "") }
    switch self {
    case .ratio: return (0.01, "")
    case .celsius: return (1, "")
    case .seconds where magnitude >= 1: return (1, "")
    default: break
    }
    var factor = 1.0
    if magnitude < 0.9995, self == .seconds {
      for prefix in ["m", "µ", "n"] {
        factor /= 1000
        if magnitude >= 0.9995 * factor { return (factor, prefix) }
      }
      return (1e-9, "n")
    }
    var found = (1.0, "")
    for prefix in ["k", "M", "G", "T", "P"] {
      factor *= 1000
      if magnitude < 0.99995 * factor { break }
      found = (factor, prefix)
    }
    return found
  }

  /// A value as people read it, with four significant digits; the server's own text where no unit is known.
  func text(_ value: Double, exact: String? = nil) -> String {
    if self == .plain, let exact { return exact }
    guard value.isFinite else { return exact ?? "\(value)" }
    let (factor, prefix) = scale(for: value.magnitude)
    let scaled = value / factor
    let unit = prefix + symbol
    let digits = Quantity.digits(scaled)
    return unit.isEmpty ? digits : "\(digits) \(unit)"
  }

  private static func digits(_ value: Double) -> String {
    guard value != 0 else { return "0" }
    let magnitude = value.magnitude
    guard magnitude >= 0.0001, magnitude < 1e7 else { return String(format: "%.3e", value) }
    var before = Int(log10(magnitude).rounded(.down))
    if magnitude >= 9.9995 * pow(10, Double(before)) { before += 1 }
    return String(format: "%.\(max(0, min(7, 3 - before)))f", value)
  }
}
