internal import BongsuRecordLog

/// Records on their way from a shard to its journal's writer: one buffer of bytes, filled by the shard, written by the
/// writer, handed back empty.
///
/// Thread rule: one owner at a time. Batches change hands through the ring and the commit event, whose orderings carry
/// the contents with them.
final class JournalBatch: @unchecked Sendable {
  // `@unchecked Sendable`: see the thread rule; nobody touches a batch that is with the other side.

  /// Bytes after which a batch is handed over at once.
  static let handoverBytes = 256 << 10

  private(set) var bytes: [UInt8] = []
  /// Where each record ends in `bytes`.
  private(set) var ends: [Int] = []
  /// Whether the first record begins a segment: no record in it needs one of an earlier segment.
  var startsSegment = false
  /// Monotonic nanoseconds at which the first record was put in.
  private(set) var openedAt: Int64 = 0

  init() {
    bytes.reserveCapacity(Self.handoverBytes * 2)
    ends.reserveCapacity(4096)
  }

  var isEmpty: Bool { ends.isEmpty }
  var recordCount: Int { ends.count }
  var byteCount: Int { bytes.count }

  /// Appends a record: what `body` appends to the buffer.
  func append(now: Int64, _ body: (inout [UInt8]) -> Void) {
    if ends.isEmpty { openedAt = now }
    body(&bytes)
    ends.append(bytes.count)
  }

  /// Hands each record's bytes to `body`, in order, until it answers `false`; returns how many it took.
  func forEachRecord(from first: Int, _ body: (RawSpan) -> Bool) -> Int {
    var taken = 0
    for index in first..<ends.count {
      let start = index == 0 ? 0 : ends[index - 1]
      // SAFETY: bytes have no padding.
      guard unsafe body(bytes.span.extracting(start..<ends[index]).bytes) else { break }
      taken += 1
    }
    return taken
  }

  func reset() {
    bytes.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    startsSegment = false
  }
}
