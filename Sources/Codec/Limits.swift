private import BongsuModel

/// The bounds of a block. The encoder refuses to exceed them, the decoder refuses what exceeds them.
public enum BlockLimits {
  /// Rows in one block: an hour at one second, ten minutes at the shortest interval in use, with room to spare.
  public static let rowsMax = 8192
  /// Values in one block, all rows together: 8 MiB once decoded.
  public static let valuesMax = 1 << 20
  /// Ticks that one block may span, and how far its base may lie back: skipped ticks count.
  public static let tickSpanMax = 1 << 24

  /// The version this build writes and the only one it reads.
  static let formatVersion: UInt8 = 1
  /// LZ4 is not tried on shorter bodies: it could not win back its own size field.
  static let compressionBytesMin = 96
  /// Widest bit field: a zigzag difference of two readings needs 55 bits, a 64-bit load at any bit offset yields 57.
  static let fieldBitsMax = 56
  /// Unread bytes that a reader may touch behind the last field, and a writer may overwrite.
  static let slackBytes = 16
  /// A difference of two readings, zigzag coded, fits a field.
  static let residualFits = UInt64(BongsuModel.Limits.sampleMagnitudeMax) &* 4 < 1 << UInt64(fieldBitsMax)
}
