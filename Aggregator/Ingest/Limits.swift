/// The bounds of the ingest core.
public enum IngestLimits {
  /// Shards of one aggregator.
  public static let shardsMax = 32
  /// Receivers of one aggregator, each with a listen address.
  public static let receiversMax = 8
  /// Frames between the receivers and one shard, divided among the receivers. At a nation's 32,500 frames a second this is
  /// a quarter of a second of delay before a receiver stops reading.
  static let shardRingCapacity = 8192
  /// Events that a shard takes in one turn.
  static let shardBatch = 256
  /// Frames between one shard and the receivers, divided among them.
  static let replyRingCapacity = 8192
  /// Announcements of mail that a shard may have unread.
  static let mailRingCapacity = 64
  /// Messages held at once: what the rings of `shards` shards can hold, and what threads have in hand. A power of two.
  static func poolCapacity(shards: Int) -> Int {
    let held = shards * (shardRingCapacity + replyRingCapacity + shardBatch) + receiversMax * receiveBatch
    return 1 << (Int.bitWidth - (held - 1).leadingZeroBitCount)
  }
  /// Slots of a ring of `capacity` when it is divided among `receivers`.
  static func laneCapacity(_ capacity: Int, receivers: Int) -> Int {
    1 << (Int.bitWidth - 1 - (capacity / receivers).leadingZeroBitCount)
  }
  /// Frames that the receiver takes from a socket before it looks at replies.
  static let receiveBatch = 256
  /// How long a connection whose key was withdrawn stays open for the refusal to leave.
  static let farewellNanoseconds: Int64 = 200_000_000
  /// Bytes of one journal segment; a new one begins with the batch after. Smaller ones end by their age.
  public static let segmentBytes = 256 << 20
  /// Largest journal record: a frame and the entry's header.
  static let recordBytesMax = 300 << 10
  /// Bytes of records that one commit writes.
  static let commitBytesMax = 8 << 20
  /// Nodes that a shard adds to a checkpoint in one turn: a millisecond or two.
  static let checkpointNodesPerTurn = 256
  /// How long the keeper waits for a shard's checkpoint before it goes on without, milliseconds.
  static let checkpointPatienceMilliseconds: Int64 = 10_000

  /// Rows that the live table keeps of each node beside the newest, so that questions about the newest closed tick, which
  /// lies behind it, need no storage: 1 KB each.
  static let earlierRows = 3

  /// Ticks kept in memory for questions about now: five minutes at 1 s.
  public static let recentTicksMax = 300
  /// Bytes that they may take. A nation of 10 factories, 60 halls and 40 allocations needs 0.1 MB a tick.
  public static let recentTickBytesMax = 64 << 20
}
