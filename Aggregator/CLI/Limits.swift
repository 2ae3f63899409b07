/// The bounds of the command.
enum CommandLimits {
  /// A connection must stand within this.
  static let connectSeconds: Int64 = 5
  /// An answer must go on within this; more than the server takes at most.
  static let readSeconds: Int64 = 45
  /// Bytes of one answer that is not a stream: 10,000 rows need about 8 MB.
  static let answerBytesMax = 128 << 20
  /// Time between two drawings of `--watch`.
  static let watchInterval = Duration.seconds(1)
  /// How long an escape byte waits for the rest of a key's sequence.
  static let escapeInterval = Duration.milliseconds(50)
  /// Longest expiry text, in seconds, that is read at all.
  static let durationSecondsMax: Int64 = 10 * 366 * 86_400
}
