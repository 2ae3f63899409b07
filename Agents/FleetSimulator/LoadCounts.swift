import BongsuWire

/// What one simulation thread has done so far.
struct LoadCounts: Sendable {
  var rowsSampled: UInt64 = 0
  var blocksSent: UInt64 = 0
  /// Blocks sent again or from the spool.
  var blocksResent: UInt64 = 0
  var bytesSent: UInt64 = 0
  var bytesReceived: UInt64 = 0
  var rowsSpooled: UInt64 = 0
  var rowsLost: UInt64 = 0
  /// Rows that ended unacknowledged with machines that vanished; the aggregator records them as gaps.
  var rowsVanished: UInt64 = 0
  /// Numbers given and acknowledged in lives that are over.
  var rowsEnded = EndedRows()
  var rejects: UInt64 = 0
  var connects: UInt64 = 0
  var welcomes: UInt64 = 0
  var disconnections: UInt64 = 0
  var failures: UInt64 = 0
  var lastFailure: String?

  struct EndedRows: Sendable {
    var numbered: UInt64 = 0
    var durable: UInt64 = 0
  }

  /// Counts a frame that was handed to the transport.
  mutating func note(frame: Span<UInt8>) {
    bytesSent += UInt64(frame.count)
    guard frame.count > 1, frame[0] & 0x1F == FrameType.block.rawValue else { return }
    var offset = 0
    // SAFETY: bytes have no padding.
    guard let header = try? unsafe BlockHeader(decoding: frame.bytes, payloadOffset: &offset) else { return }
    if header.isLate { blocksResent += 1 } else { blocksSent += 1 }
  }
}

extension LoadCounts {
  /// Adds the counts of another thread.
  mutating func add(_ other: LoadCounts) {
    rowsSampled += other.rowsSampled
    blocksSent += other.blocksSent
    blocksResent += other.blocksResent
    bytesSent += other.bytesSent
    bytesReceived += other.bytesReceived
    rowsSpooled += other.rowsSpooled
    rowsLost += other.rowsLost
    rowsVanished += other.rowsVanished
    rowsEnded.numbered += other.rowsEnded.numbered
    rowsEnded.durable += other.rowsEnded.durable
    rejects += other.rejects
    connects += other.connects
    welcomes += other.welcomes
    disconnections += other.disconnections
    failures += other.failures
    lastFailure = other.lastFailure ?? lastFailure
  }
}
