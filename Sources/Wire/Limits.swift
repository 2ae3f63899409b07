/// The bounds of the wire. Decoders refuse what lies outside; session machines never produce it.
public enum WireLimits {
  /// Bytes of one frame, header and payload: also the transport's largest message. One row of the widest layout needs
  /// about 37 KiB when nothing can be predicted; a run of spooled rows is cut so that it fits.
  public static let frameBytesMax = 256 << 10
  /// Bytes of a block's payload: a frame less the longest block header.
  public static let payloadBytesMax = frameBytesMax - blockHeaderBytesMax
  /// Longest block header: type, flags, five varints, boot id.
  public static let blockHeaderBytesMax = 2 + 5 * 10 + 8

  /// Rows of one block, and words (rows times values per row) of one block: what a receiver sets aside to decode one.
  public static let blockRowsMax = 4096
  public static let blockWordsMax = 128 << 10

  /// Ranges beyond the floor that a receiver remembers of one node.
  public static let sequenceRangesMax = 64
  /// Largest sequence number: two bits of headroom, so that sums of a number and a count never wrap.
  public static let sequenceMax: UInt64 = 1 << 62
  /// Numbers that one gap may consume: a stream's whole space, since a gap costs one range however long it is.
  public static let gapCountMax: UInt64 = sequenceMax

  /// Layouts that a session may announce, and their largest number.
  public static let layoutsMax = 16
  public static let layoutNumberMax = 1 << 20
  /// How far a live block's base may lie back, in numbers and in ticks.
  public static let baseDistanceMax: UInt64 = 1 << 16
  public static let tickDistanceMax: UInt64 = 1 << 16

  /// Blocks in flight, sent but not yet acknowledged, that a session grants: at least 30 ticks (three acknowledgement
  /// intervals at 1 s), at most what a peer's queues are sized for.
  public static let creditBlocksMin = 30
  public static let creditBlocksMax = 1024

  /// Bytes of an agent's version text and of the free text of a refusal.
  public static let versionTextBytesMax = 64
  public static let detailBytesMax = 240

  /// Longest duration a frame may name (retry, acknowledgement interval), milliseconds: a day.
  public static let durationMillisecondsMax: UInt64 = 86_400_000
  /// Largest `CLOCK_BOOTTIME` reading, milliseconds: a thousand years of uptime.
  public static let boottimeMillisecondsMax: UInt64 = 31_557_600_000_000
}
