/// Bounds of rule files, templates and unit tests.
public enum AlertLimits {
  /// Largest rule or test file, in bytes.
  public static let fileBytesMax = 16 * 1024 * 1024

  /// Most evaluations one test group may ask for: a week at one second.
  public static let testEvaluationsMax = 604_800

  /// Deepest nesting of template actions and pipelines.
  public static let templateDepthMax = 100

  /// Longest text a template may expand to, in bytes.
  public static let templateOutputBytesMax = 1 << 20

  /// How long a resolved alert is remembered, in milliseconds, so that its end can be reported again.
  public static let resolvedRetentionMilliseconds: Int64 = 15 * 60 * 1000
}
