public import BongsuRecordLog

/// How much of a journal is kept as raw history: as many of its newest segments as fit a size, and never less than a
/// restart or a reader behind it still needs.
///
/// Until rows are kept in chunks of their own, the journal is the raw history, so this size is the retention that an
/// operator sets; time follows from it.
public struct JournalRetention: Hashable, Sendable {
  /// Bytes of segments that may stay.
  public let bytesMax: Int64

  /// - Precondition: `bytesMax` is positive.
  public init(bytesMax: Int64) {
    precondition(bytesMax > 0, "journal of \(bytesMax) bytes")
    self.bytesMax = bytesMax
  }

  /// The number below which records may go; 0 when none may.
  ///
  /// - Parameters:
  ///   - segments: the journal's segments, oldest first.
  ///   - needed: the lowest record that somebody still needs: the minimum over ``CheckpointStore/trimRecord(_:)``, what
  ///     the history has applied plus one, and readers under way. It comes before the size.
  public func trimBelow(segments: [LogWriter.Segment], needed: UInt64) -> UInt64 {
    var bytes = segments.reduce(0) { $0 + $1.byteCount }
    var below: UInt64 = 0
    for (segment, next) in zip(segments, segments.dropFirst()) {
      guard bytes > bytesMax, next.firstNumber <= needed else { break }
      bytes -= segment.byteCount
      below = next.firstNumber
    }
    return below
  }
}
