public import BongsuRecordLog

/// What stands behind the journals: checkpoints, so that a restart replays little, and history, so that a journal may be
/// trimmed. The ingest core asks it at the start and once every half minute, always from one thread, which it may block;
/// nothing that an agent waits for depends on it.
public protocol JournalKeeper: Sendable {
  /// The newest checkpoint of a shard; `nil`: all of the journal is replayed.
  func checkpoint(shard: Int) -> ShardCheckpoint?

  /// The highest record of a shard's journal that was ever seen on disk. A journal that lost its end goes on behind it, so
  /// that no number gets a second meaning.
  func highestRecord(shard: Int) -> UInt64

  /// Rows before this tick are no longer kept, milliseconds since 1970; those that come later than that are refused and
  /// leave a gap record. Asked by every shard once a second; must not block.
  var oldestKept: Int64 { get }

  /// Takes what is new in all journals, in order of shards.
  ///
  /// - Returns: for each journal the number below which records may go.
  func keep(_ journals: [JournalProgress]) -> [UInt64]
}

extension JournalKeeper {
  /// Everything is kept.
  public var oldestKept: Int64 { 0 }
}

/// How far one shard's journal is.
public struct JournalProgress: Sendable {
  /// All records up to here are on disk.
  public var committed: UInt64
  /// The journal's segments, oldest first.
  public var segments: [LogWriter.Segment]
  /// A checkpoint, all of whose records are on disk; `nil` when none could be taken this time.
  public var checkpoint: ShardCheckpoint?
}

/// The state of one shard as of a record of its journal.
public struct ShardCheckpoint: Hashable, Sendable {
  /// All records up to here are in it; of later ones only what it knows by itself to skip.
  public var record: UInt64
  public var bytes: [UInt8]

  public init(record: UInt64, bytes: [UInt8]) {
    self.record = record
    self.bytes = bytes
  }
}
