/// Bounds of the seam between query and store.
public enum SeriesLimits {
  /// Longest regular expression of a matcher, in UTF-8 bytes; alternations over a rack's node names stay far below.
  public static let patternBytesMax = 64 * 1024

  /// Largest compiled expression, in instructions: `x{1000}` nested twice must not become a million.
  public static let patternInstructionsMax = 100_000

  /// Deepest nesting of groups in an expression, so that the recursive pattern parser cannot exhaust its stack.
  public static let patternNestingMax = 250

  /// Largest count of a repetition `x{n}`, the bound RE2 sets.
  public static let patternRepeatMax = 1000

  /// Most remarks of each kind beside one answer.
  public static let annotationsMax = 16
}
