/// Bounds of the query language: what is refused by name instead of running out of stack, memory or patience.
public enum QueryLimits {
  /// Longest expression, in UTF-8 bytes. Generated alert expressions stay far below.
  public static let expressionBytesMax = 256 * 1024

  /// Deepest tree, counting chains of binary operators: parser, checker and evaluator recurse over it. A level takes
  /// about 10 KB of stack in a debug build, so this needs 3 MB of the 8 MB that threads have.
  public static let expressionDepthMax = 300

  /// Bytes of an error's text: what was found may be as long as the expression.
  public static let messageBytesMax = 1000

  /// Most steps of a range query, as in Prometheus.
  public static let stepsMax = 11_000

  /// Most samples a query may hold at a time, Prometheus's default.
  public static let samplesMax = 50_000_000

  /// Most series one query may touch: all metrics of the nation's GPUs, once.
  public static let seriesMax = 4_000_000

  /// How far back an instant selector looks for a sample, in milliseconds.
  public static let lookbackMilliseconds: Int64 = 300_000

  /// Step of a subquery that names none, in milliseconds: Prometheus's default evaluation interval.
  public static let subqueryStepMilliseconds: Int64 = 60_000
}
