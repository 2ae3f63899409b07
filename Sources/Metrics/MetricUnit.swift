/// The unit a metric is exposed in, which is the last part of its name, and what its instrument counts in.
///
/// Instruments are integers, so that counting is exact and cheap; exposed = integer ÷ `divisor`.
public struct MetricUnit: Hashable, Sendable {
  /// The OpenMetrics unit, such as `seconds`; empty for plain counts.
  public let name: String
  /// How many of the instrument's steps make one exposed unit.
  public let divisor: Double

  /// - Precondition: `divisor` is above zero.
  public init(_ name: String, divisor: Double = 1) {
    precondition(divisor > 0, "unit \(name) with divisor \(divisor)")
    self.name = name
    self.divisor = divisor
  }

  /// Things: blocks, nodes, requests. Nothing is appended to the name.
  public static let count = MetricUnit("")
  public static let bytes = MetricUnit("bytes")
  /// Exposed in seconds, counted in nanoseconds.
  public static let nanoseconds = MetricUnit("seconds", divisor: 1_000_000_000)
  /// Exposed in seconds, counted in milliseconds.
  public static let milliseconds = MetricUnit("seconds", divisor: 1000)
  /// Exposed in seconds, counted in seconds.
  public static let seconds = MetricUnit("seconds")
  /// Exposed as a ratio, counted in thousandths.
  public static let permille = MetricUnit("ratio", divisor: 1000)
  /// Exposed in watts, counted in milliwatts.
  public static let milliwatts = MetricUnit("watts", divisor: 1000)
}
