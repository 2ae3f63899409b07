/// Bounds of a drill.
enum DrillLimits {
  static let agentsMax = 32
  static let durationSecondsMax = 86_400
  /// Rows that a kill may cost at most: those of the last five seconds, which are spooled when no acknowledgement comes,
  /// and what a loaded machine adds to that.
  static let lossMillisecondsMax: Int64 = 8_000
  /// Offenders printed one by one.
  static let findingsMax = 12
  /// How long spools may take to drain once nothing is disturbed any more.
  static let settleSecondsMax = 45
}
