/// A function of the language: name, types and how many arguments may be left out or repeated.
public struct Function: Sendable, Hashable {
  public let name: String
  public let argumentTypes: [ValueType]
  public let resultType: ValueType
  /// How many arguments at the end may be left out; -1 when the last may be repeated or left out.
  public let optionalArguments: Int

  /// Fewest arguments accepted.
  public var argumentsMin: Int { argumentTypes.count - optionalArguments.magnitudeAsInt }

  /// Looks a function up by its exact name.
  public static func named(_ name: String) -> Function? { catalogue[name] }

  /// Every function, by name.
  public static let catalogue: [String: Function] = {
    var all: [String: Function] = [:]
    func add(_ names: String, _ types: [ValueType], optional: Int = 0, _ result: ValueType = .instantVector) {
      for name in names.split(separator: " ").map(String.init) {
        all[name] = Function(name: name, argumentTypes: types, resultType: result, optionalArguments: optional)
      }
    }
    add(
      "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sort",
      [.instantVector])
    add("sort_desc sqrt tan tanh timestamp histogram_count histogram_sum", [.instantVector])
    add("absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate", [.rangeVector])
    add("last_over_time max_over_time min_over_time present_over_time rate resets", [.rangeVector])
    add("stddev_over_time stdvar_over_time sum_over_time", [.rangeVector])
    add("clamp", [.instantVector, .scalar, .scalar])
    add("clamp_max clamp_min", [.instantVector, .scalar])
    add("days_in_month day_of_month day_of_week day_of_year hour minute month year", [.instantVector], optional: 1)
    add("histogram_fraction", [.scalar, .scalar, .instantVector])
    add("histogram_quantile", [.scalar, .instantVector])
    add("holt_winters", [.rangeVector, .scalar, .scalar])
    add("label_replace", [.instantVector, .string, .string, .string, .string])
    add("label_join", [.instantVector, .string, .string, .string], optional: -1)
    add("pi time", [], .scalar)
    add("predict_linear", [.rangeVector, .scalar])
    add("quantile_over_time", [.scalar, .rangeVector])
    add("round", [.instantVector, .scalar], optional: 1)
    add("scalar", [.instantVector], .scalar)
    add("vector", [.scalar])
    return all
  }()
}

extension Int {
  fileprivate var magnitudeAsInt: Int { self < 0 ? -self : self }
}
