/// What a writer learns about its log before it appends: the segments, and how far the last one is good.
struct LogRecovery {
  var segments: [LogWriter.Segment] = []
  var damage: [LogDamage] = []
  /// The highest number that a record has or may have had.
  var lastNumber: UInt64 = 0
  /// Salt of the last segment; `nil` when nothing can be appended to it.
  var lastSegmentSalt: UInt32?

  /// Reads the directory and the last segment. Changes nothing.
  init(disk: any Disk, log: String, limits: LogLimits) throws(LogError) {
    let firsts = try LogReader.segments(of: log, on: disk)
    guard let last = firsts.last else { return }
    for first in firsts {
      segments.append(LogWriter.Segment(firstNumber: first, byteCount: try Self.byteCount(disk, log, first)))
    }
    var reader = try LogReader(disk: disk, log: log, limits: limits, from: last)
    while let event = try reader.next() {
      if case .damage(let found) = event { damage.append(found) }
    }
    lastNumber = max(reader.lastNumber, last - 1)
    guard let salt = reader.lastSalt else { return }
    if reader.unreadableBytes > 0 {
      // What could not be read now may be read later: nothing is cut off, and no number of it is given again.
      let behind = max(0, segments[segments.count - 1].byteCount - reader.position)
      lastNumber += UInt64(behind) / UInt64(RecordFormat.headerBytes) + 1
      return
    }
    lastSegmentSalt = salt
    segments[segments.count - 1].byteCount = reader.position
  }

  private static func byteCount(_ disk: any Disk, _ log: String, _ first: UInt64) throws(LogError) -> Int64 {
    do {
      let file = try disk.open(SegmentFormat.name(log: log, firstNumber: first), .read)
      defer { disk.close(file) }
      return try disk.byteCount(of: file)
    } catch {
      throw .disk(error)
    }
  }
}
