internal import BongsuRecordLog
internal import BongsuWire

/// The bounds of the store.
public enum StoreLimits {
  /// Bytes of one checkpoint: dedup state of 65,000 nodes with all their ranges open needs 75 MiB.
  public static let checkpointBytesMax = 256 << 20
  /// Blobs in one checkpoint, and bytes of a blob's name.
  public static let checkpointBlobsMax = 1024
  public static let checkpointNameBytesMax = 64

  /// Rows of one tile of a tier: an hour of 10 s windows, or a minute of ticks.
  public static let tileRowsMax = 3600
  /// Bytes of a group's key.
  public static let groupKeyBytesMax = 512
  /// Shards that one history knows.
  public static let shardsMax = 64
  /// Rows that one expiry removes: more than a nation's nodes add in the meantime.
  public static let expiredRowsMax = 100_000
  /// Rows that one question may return.
  public static let answerRowsMax = 1 << 20

  /// Transitions of alerts that are kept, some 600 bytes each.
  public static let alertTransitionsMax = 500_000

  /// Samples that ``RawExport/samples(of:in:maximum:)`` may hold at once: 24 bytes each.
  public static let exportSamplesMax = 8 << 20

  /// Bytes of packed rows that one reader holds of the journals, and how often it reads them before it holds more than
  /// that: two million rows of eight GPUs, twice what half the nation has in a minute.
  public static let tailBytesMax = 256 << 20
  /// The same of whoever packs them, which holds the packed ones beside.
  static let packedBytesMax = 128 << 20
  public static let tailPartsMax = 64
  /// Segments of journals whose ticks are known at a time.
  static let segmentsKnownMax = 4096

  /// Entries of the audit log that are kept.
  public static let auditEntriesMax = 100_000
  /// Bytes of any text in the registry.
  public static let textBytesMax = 1024

  /// Format of each kind of database file, kept in SQLite's user_version and in the data directory's file `format`
  /// (``DataFormat``).
  static let registryVersion = 3
  static let historyVersion = 2
  static let partitionVersion = 1
  static let tiersVersion = 4
  static let alertsVersion = 2

  /// Ticks in one partition file, milliseconds; part of the format.
  static let partitionMilliseconds: Int64 = 3_600_000
  /// Rows of a chunk: ten minutes at one second, so that a reader of five minutes unpacks little more.
  public static let chunkRowsMax = 600
  /// Rows below which chunks are poor: more than one pass of five minutes has, so that none is cut in two for want of memory.
  /// That would make more than ``chunksPerNodeMax`` in an hour, which are all merged afterwards; reading the journal once
  /// more for each group of nodes takes less.
  static let chunkRowsMin = 360
  /// Chunks of a node in one partition above which they are merged: an hour of five-minute chunks has 13.
  static let chunksPerNodeMax = 16
  /// Page of a partition file: half a page is wasted behind every chunk of about 20 KiB.
  static let partitionPageBytes = 1024

  /// The bounds of a journal as it is read. Writers stay below.
  static let journal = LogLimits(
    segmentBytes: 256 << 20, recordBytesMax: 300 << 10, batchBytesMax: 8 << 20)
}
