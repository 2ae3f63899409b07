/// Bounds of the device sources.
public enum DeviceLimits {
  /// Sources of one agent; each that may block costs a thread.
  public static let sourcesMax = 16

  /// Values kept of a recording, 12 bytes each: an hour of eight GPUs with ten metrics at 1 Hz is 0.3 million.
  public static let recordedValuesMax = 4_000_000
  /// Bytes of one line of a recording; real ones have up to 250.
  public static let recordedLineBytesMax = 4096
  /// GPU numbers in a recording.
  public static let recordedGPUsMax = 128
  /// How long a recorded value lasts when no other follows, milliseconds of recorded time: real recordings pause for up
  /// to three seconds, and longer pauses are gaps.
  public static let recordedGapMilliseconds: Int64 = 10_000
}
