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

  /// Most alerts of one rule, where its group sets no limit: more is a rule gone wrong, and a flood for whoever is paged.
  public static let alertsPerRuleMax = 10_000

  /// Shortest interval between evaluations of a group, in milliseconds: the shortest rollup.
  public static let intervalMillisecondsMin: Int64 = 100

  /// How long series that rules write are kept in memory, in milliseconds.
  public static let ruleSeriesMilliseconds: Int64 = 15 * 60 * 1000

  /// Most samples of such series, 16 bytes each.
  public static let ruleSamplesMax = 16_000_000

  /// Most selectors whose choice is remembered per live series.
  public static let chosenPositionsMax = 64

  /// Most rule files and rules that are loaded.
  public static let ruleFilesMax = 1000
  public static let rulesMax = 20_000

  /// Most events that wait for one receiver; beyond, the oldest that a newer one of the same alert replaces goes first.
  public static let queueEntriesMax = 20_000

  /// Most alerts in one request to a receiver.
  public static let batchAlertsMax = 64

  /// Most bytes of an answer that are looked at.
  public static let answerBytesMax = 64 * 1024

  /// Most receivers.
  public static let receiversMax = 64

  /// How long a resolved alert is told again, in milliseconds, as Alertmanager wants it.
  public static let resolvedResendMilliseconds: Int64 = 5 * 60 * 1000
}
