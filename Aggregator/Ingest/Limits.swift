/// The bounds of the ingest core.
public enum IngestLimits {
  /// Shards of one aggregator.
  public static let shardsMax = 32
  /// Frames between receiver and one shard. At a nation's 32,500 frames a second this is a quarter of a second of delay
  /// before the receiver stops reading.
  static let shardRingCapacity = 8192
  /// Events that a shard takes in one turn.
  static let shardBatch = 256
  /// Frames between one shard and the receiver.
  static let replyRingCapacity = 8192
  /// Announcements of mail that a shard may have unread.
  static let mailRingCapacity = 64
  /// Messages held at once: what all rings can hold, and what threads have in hand.
  static let poolCapacity = 65_536
  /// Frames that the receiver takes from a socket before it looks at replies.
  static let receiveBatch = 256
  /// How long a connection whose key was withdrawn stays open for the refusal to leave.
  static let farewellNanoseconds: Int64 = 200_000_000
  /// Bytes of one journal segment; a new one begins with the batch after.
  public static let segmentBytes = 256 << 20
  /// Largest journal record: a frame and the entry's header.
  static let recordBytesMax = 300 << 10
  /// Bytes of records that one commit writes.
  static let commitBytesMax = 8 << 20
  /// Nodes that a shard adds to a checkpoint in one turn: a millisecond or two.
  static let checkpointNodesPerTurn = 256
  /// How long the keeper waits for a shard's checkpoint before it goes on without, milliseconds.
  static let checkpointPatienceMilliseconds: Int64 = 10_000

  /// Ticks kept in memory for questions about now: five minutes at 1 s.
  public static let recentTicksMax = 300
  /// Bytes that they may take. A nation of 10 factories, 60 halls and 40 allocations needs 0.1 MB a tick.
  public static let recentTickBytesMax = 64 << 20
}
