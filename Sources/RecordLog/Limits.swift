/// The bounds of one log, chosen by its owner.
public struct LogLimits: Hashable, Sendable {
  /// Bytes after which the next batch goes to a new segment.
  public let segmentBytes: Int
  /// Largest payload of a record.
  public let recordBytesMax: Int
  /// Bytes that may wait for one commit, headers included.
  public let batchBytesMax: Int

  /// Fixes the bounds. A segment may grow beyond `segmentBytes` by one batch.
  ///
  /// - Precondition: 0 < `recordBytesMax` + 16 ≤ `batchBytesMax`, `recordBytesMax` < 2^24, 0 < `segmentBytes` < 2^40.
  public init(segmentBytes: Int, recordBytesMax: Int, batchBytesMax: Int) {
    precondition(recordBytesMax > 0 && recordBytesMax <= RecordFormat.payloadBytesMax, "record limit \(recordBytesMax)")
    precondition(batchBytesMax >= recordBytesMax + RecordFormat.headerBytes, "batch limit \(batchBytesMax)")
    precondition(segmentBytes > 0 && segmentBytes < 1 << 40, "segment limit \(segmentBytes)")
    self.segmentBytes = segmentBytes
    self.recordBytesMax = recordBytesMax
    self.batchBytesMax = batchBytesMax
  }

  /// Bytes of a record's header; every record costs these on top of its payload.
  public static let recordHeaderBytes = RecordFormat.headerBytes
  /// Bytes of an empty segment.
  public static let segmentHeaderBytes = SegmentFormat.headerBytes
  /// Most segments one directory may hold; more means that something else writes there.
  static let segmentsMax = 1 << 20
}
