import BongsuModel

/// Bounds of sampling.
public enum SamplingLimits {
  /// How long a tick waits for its sources: half of the interval, within these bounds.
  static let readDeadlineNanosecondsMin: Int64 = 10_000_000
  static let readDeadlineNanosecondsMax: Int64 = 2_000_000_000

  static func readDeadlineNanoseconds(_ interval: TickInterval) -> Int64 {
    min(max(interval.nanoseconds / 2, readDeadlineNanosecondsMin), readDeadlineNanosecondsMax)
  }

  /// How long the first tick waits for the sources to look for their devices. One that takes longer joins later.
  static let discoveryDeadlineNanoseconds: Int64 = 2_000_000_000

  /// How long a single reading for a terminal waits for sources that look for their devices.
  static let reportDiscoveryNanoseconds: Int64 = 10_000_000_000

  /// A look for devices that takes longer than this is taken for a hang: drivers initialise many GPUs for seconds.
  static let discoveryHangNanoseconds: Int64 = 30_000_000_000

  /// How long a stop waits for calls under way.
  static let stopGraceNanoseconds: Int64 = 500_000_000

  /// First and longest distance between looks for devices of a source that is not well; it doubles in between.
  static let rediscoveryNanosecondsMin: Int64 = 2_000_000_000
  static let rediscoveryNanosecondsMax: Int64 = 60_000_000_000

  /// How often the agent's own figures change in the rows: between changes they cost nothing on the wire.
  static let healthMilliseconds: Int64 = 10_000

  /// Stack of a thread, reserved and not resident. Driver libraries keep buffers of some ten kilobytes on it.
  static let threadStackBytes = 1 << 19

  /// Rows that wait for a consumer that is late, in a ``RowQueue``.
  public static let queuedRowsMax = 64
}
